"""The logs of a running service: what they hold, and that nothing of them ever stops it."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from qekm.logs.courier import Courier
from qekm.logs.entry import Entry
from qekm.logs.outlets import Outlets
from qekm.v1 import configuration_pb2 as pb
from tests.qekm.api.drives_at_work import Site, play
from tests.qekm.api.running import Running, running
from tests.qekm.logs.reading import records_of, sequences
from tests.waiting import until


def log_of(run: Running) -> Path:
    """Return the audit log."""
    return run.home.path / "keymanager" / "audit" / "kms_audit.log"


async def test_the_audit_log_is_the_trail_in_the_familys_form(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=16) as run:
        site = await Site.of(run)
        async with run.gateway() as gateway:
            await play(gateway, site.asking())
        trail = await run.records()
        log = log_of(run)
    told = records_of(log.read_bytes())
    assert [each["action"] for each in told] == [*(record.event for record in trail), *["server.stop"]]
    assert sequences(log) == list(range(1, len(trail) + 2))
    (installed,) = [each for each in told if each["action"] == "key.install"]
    assert installed["drive vendor"] == "IBM"
    assert installed["volser"] == "E01001L4"
    (given,) = [each for each in told if each["action"] == "key.create"]
    assert given["drive vendor"] == "IBM", "the drive had no entry yet, but had said so"
    assert given["outcome"] == "[result=intended]"


async def test_only_the_classes_and_outcomes_that_are_wanted_are_written(tmp_path: Path) -> None:
    properties = {"Audit__event__types": "authentication;runtime", "Audit__event__outcome": "failure"}
    async with running(tmp_path / "home", keys=8, **properties) as run:
        site = await Site.of(run)
        async with run.gateway() as gateway:
            await play(gateway, site.asking(), steps=2)
        await until(lambda: log_of(run).exists() and records_of(log_of(run).read_bytes()))
        log = log_of(run)
    assert {each["action"] for each in records_of(log.read_bytes())} == {
        "key.suspect",
        "session.end",
    }


class Heard:
    """A receiver that keeps what it is given."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def take(self, entries: Any) -> None:
        """Keep."""
        self.entries += entries

    def missed(self, count: int) -> None:
        """Fail."""
        raise AssertionError(count)

    def close(self) -> None:
        """Go."""


async def test_what_the_audit_log_leaves_out_is_sent_elsewhere_all_the_same(tmp_path: Path) -> None:
    heard = Heard()
    outlets = Outlets((), [Courier("heard", heard)])
    async with running(tmp_path / "home", keys=1, Audit__event__types="none") as run:
        run.service.logs.outlets = outlets
        first = len(await run.records())
        set_ = {"Audit.event.outcome": "failure"}
        await run.client.configuration.UpdateProperties(pb.UpdatePropertiesRequest(set=set_))
        trail = (await run.records())[first:]
        log = log_of(run)
    outlets.end()
    assert [record.event for record in trail] == ["rpc.UpdateProperties"]
    assert [entry.fields["event"] for entry in heard.entries] == ["rpc.UpdateProperties", "server.stop"]
    assert not log.exists() or records_of(log.read_bytes()) == []


async def test_switching_the_classes_while_it_runs_changes_the_file_and_nothing_that_is_sent_elsewhere(
    tmp_path: Path,
) -> None:
    heard = Heard()
    outlets = Outlets((), [Courier("heard", heard)])

    async def put(types: str) -> None:
        request = pb.UpdatePropertiesRequest(set={"Audit.event.types": types})
        await run.client.configuration.UpdateProperties(request)

    async with running(tmp_path / "home", keys=8) as run:
        run.service.logs.outlets = outlets
        before = len(await run.records())
        await put("none")
        await put("all")
        await put("authentication")
        await run.unlock()
        trail = await run.records()
        log = log_of(run)
    outlets.end()
    sent = [int(entry.fields["sequence"]) for entry in heard.entries]
    assert sent == list(range(before + 1, len(trail) + 2))
    left_out = set(sent) - set(sequences(log))
    assert left_out, "every class was written"
    assert set(sequences(log)) > set(range(1, before + 1))


async def test_where_it_cannot_be_written_drives_are_served_it_is_told_once_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path / "home", keys=32) as run:
        site = await Site.of(run)
        log = log_of(run)
        await until(log.exists)
        log.unlink()
        log.mkdir()  # whoever we are, nothing can be written there
        async with run.gateway() as gateway:
            for serial in ("001300000392", "001310000363", "001310000364"):
                asking = site.asking(site.drive(serial))
                await play(gateway, asking)
                assert asking.outcome.key is not None
        await until(run.service.logs.lines)
        (line,) = run.service.logs.lines()
        assert line == f"audit log {log} cannot be written: Is a directory"
        assert line in run.service.lines()
        status = await run.client.server.GetStatus(status_request())
        assert line in status.degraded
        log.rmdir()
        await until(lambda: not run.service.logs.lines())
        trail = await run.records()
        await until(lambda: sequences(log)[-1:] == [len(trail)])
    told = records_of(log.read_bytes())
    assert told[0]["action"] == "log.resume"
    kept = sequences(log)
    assert kept == list(range(kept[0], len(trail) + 2))
    assert "key.install" in {each["action"] for each in told}
    assert len([each for each in caplog.records if "cannot be written" in each.getMessage()]) == 1


def status_request() -> Any:
    """Return a request for the status."""
    from qekm.v1.server_pb2 import GetStatusRequest

    return GetStatusRequest()


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """Have a file system of 64 kB there; it takes root, and a kernel that lets us."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    words = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "none", str(place)]
    if subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.root
async def test_on_a_full_disk_drives_are_served_and_afterwards_the_log_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "audit"
    place.mkdir()
    with small_disk(place):
        async with running(tmp_path / "home", keys=64, Audit__handler__file__directory=str(place)) as run:
            site = await Site.of(run)
            log = place / "kms_audit.log"
            await until(log.exists)
            (place / "filler").write_bytes(bytes(4_096 * 14 - log.stat().st_size // 4_096 * 4_096))
            async with run.gateway() as gateway:
                for number in range(30):
                    asking = site.asking(site.drive(f"0013100{number:05}"))
                    await play(gateway, asking)
                    assert asking.outcome.key is not None
            await until(run.service.logs.lines)
            assert "No space left on device" in run.service.logs.lines()[0]
            for record in records_of(log.read_bytes()):  # whole, as far as they go
                assert record["event source"]
            (place / "filler").unlink()
            count = len(await run.records())
            await until(lambda: sequences(log)[-1:] == [count])
        kept = sequences(log)
        assert kept == list(range(kept[0], count + 2))
        resumed = [each for each in records_of(log.read_bytes()) if each["action"] == "log.resume"]
        assert "No space left on device" in resumed[0]["message"]


class Slow:
    """A receiver that never finishes."""

    def __init__(self) -> None:
        import threading

        self.gate = threading.Event()

    def take(self, entries: Any) -> None:
        """Hang."""
        self.gate.wait()

    def missed(self, count: int) -> None:
        """Hang."""
        self.gate.wait()

    def close(self) -> None:
        """Go."""


async def test_a_receiver_that_hangs_delays_no_drive(tmp_path: Path) -> None:
    slow = Slow()
    courier: Courier[Entry] = Courier("slow", slow, most=4)
    outlets = Outlets([courier], [courier])
    logging.getLogger().addHandler(outlets)
    try:
        async with running(tmp_path / "home", keys=32) as run:
            run.service.logs.outlets = outlets
            site = await Site.of(run)
            async with run.gateway() as gateway:
                for number in range(10):
                    asking = site.asking(site.drive(f"0013100{number:05}"))
                    await asyncio.wait_for(play(gateway, asking), 10)
                    assert asking.outcome.key is not None
    finally:
        slow.gate.set()
        outlets.end()
