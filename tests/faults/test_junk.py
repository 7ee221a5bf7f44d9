"""A million frames of junk on the drives' port: a drive is served throughout, and nothing grows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from qekm.dkp.codes import Ask
from qekm.home import Home
from qekm.store import Link, Store, canonical
from qekm.trail import read_public_key, verify
from qekm.v1 import drives_pb2
from qekm_gateway.simulator.errand import Errand
from qekm_gateway.simulator.library import Library
from tests.faults.junk import SERIAL, WWNN
from tests.faults.junk_sender import Tally
from tests.faults.site import Site, working
from tests.system.processes import environment

FRAMES = 1_000_000
WARM_UP = 200_000  # by then every bounded memory is full; after 40,000 the service still grows by some 8 MB
MOST_SECONDS = 600  # for all of it; a two-core machine with nothing else to do takes about 100
MEGABYTE = 1_000_000
# Resident memory of one process after the warm-up. One frame in eight reaches the service; one that is kept
# there takes hundreds of bytes. Less comes and goes: over 1,800,000 frames it was 137 to 144 MB.
MOST_GROWTH = 16 * FRAMES  # bytes: 128 of each frame that reaches it
MOST_LOGGED = 4_000  # bytes on both processes' standard output and error
OF_A_SCRUB = 4  # descriptors: the store, its log and its index, opened once for the first pass and kept
PAUSE_S = 0.03  # of the honest drive between two exchanges
TRIAL = 200  # exchanges that show what one adds to the store


@dataclass
class Honest:
    """A drive that goes on with its work."""

    library: Library
    slowest: float = 0.0
    times: list[float] = field(default_factory=list)

    def exchange(self) -> None:
        """Get one key, without a retry."""
        errand = Errand(Ask.CREATE, f"J{len(self.times):05d}L4", os.urandom(16), self.library.serial)
        begun = time.monotonic()
        outcome = self.library.request(SERIAL, errand)
        self.times.append(time.monotonic() - begun)
        assert outcome.confirmed
        assert self.library.tickets == []


@dataclass(frozen=True)
class Look:
    """What a process takes."""

    memory: int  # resident, bytes
    descriptors: int

    @classmethod
    def at(cls, pid: int) -> Look:
        """Look at a process; its descriptors are shown to root only, and are 0 to others."""
        place = Path(f"/proc/{pid}")
        memory = int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        try:
            return cls(memory, sum(1 for _ in (place / "fd").iterdir()))
        except PermissionError:
            return cls(memory, 0)


def look(site: Site) -> dict[str, Look]:
    """Look at both processes."""
    server, gateway = site.estate.server, site.estate.gateway
    assert server is not None
    assert gateway is not None
    return {"service": Look.at(server.pid), "gateway": Look.at(gateway.pid)}


def settled(site: Site, before: dict[str, Look]) -> dict[str, Look]:
    """Look again, when descriptors are back where they were or five seconds have passed."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        now = look(site)
        if all(now[name].descriptors <= before[name].descriptors for name in now):
            break
        time.sleep(0.1)
    return now


def flood(site: Site, frames: int, seed: int, meanwhile: Callable[[], None]) -> Tally:
    """Send junk from a process of its own and do something else all the while."""
    command = [sys.executable, "-m", "tests.faults.junk_sender", *map(str, (site.port, frames, seed))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment()) as sender:
        deadline = time.monotonic() + MOST_SECONDS
        try:
            while sender.poll() is None:
                assert time.monotonic() < deadline, "the junk takes too long"
                meanwhile()
                time.sleep(PAUSE_S)
        finally:
            sender.kill()
        assert sender.stdout is not None
        told = sender.stdout.read()
    assert sender.returncode == 0
    return Tally(**json.loads(told))


def stopped_size(site: Site) -> int:
    """Stop the key manager and return the bytes of its store; its log is in the file then."""
    assert set(site.estate.stop().values()) == {0}
    store = site.estate.home.store
    assert not store.with_name(store.name + "-wal").exists()
    return store.stat().st_size


def refusals(home: Home) -> Iterator[Link]:
    """Return the records of strangers' refusals."""
    with Store.looked_at(home.store) as store:
        yield from (item for item in store.iterate_audit() if item.record.event == "drive.refuse")


@contextmanager
def prepared(folder: Path) -> Iterator[tuple[Site, Honest]]:
    """Have a key manager that serves one registered drive and no stranger, and that drive."""
    with working(folder, keys=4_096, drive__acceptUnknownDrives="false") as site:
        drive = site.drives[0]
        drive.wwnn = WWNN
        assert drive.serial == SERIAL
        with site.estate.client() as client:
            entry = drives_pb2.Drive(serial=SERIAL, wwnn=WWNN)
            client.drives.CreateDrive(drives_pb2.CreateDriveRequest(drive=entry))
        yield site, Honest(site.library(drive))


@pytest.mark.slow
def test_a_million_junk_frames_cost_a_drive_nothing_and_leave_nothing_behind(memory: Path) -> None:
    # In memory: a drive is told to go elsewhere when a disk that others write to takes 1.5 s for a commit.
    with prepared(memory) as (site, honest):
        empty = stopped_size(site)
        site.estate.start().wait_gateway()
        for _ in range(TRIAL):
            honest.exchange()
        size = stopped_size(site)
        share = (size - empty) / TRIAL

        site.estate.start().wait_gateway()
        warm = flood(site, WARM_UP, 1, honest.exchange)
        before = settled(site, look(site))
        logged = sum(output.stat().st_size for output in site.estate.home.path.glob("*.out"))
        begun, count = time.monotonic(), len(honest.times)
        sent = flood(site, FRAMES, 2, honest.exchange)
        seconds, times = time.monotonic() - begun, sorted(honest.times[count:])
        after = settled(site, before)
        grown = stopped_size(site) - size - share * (len(honest.times) - TRIAL)
        records = list(refusals(site.estate.home))
    trail = sum(
        len(canonical(item.sequence, item.record) + item.hash + (item.signature or b"")) for item in records
    )
    print(
        f"{sent.frames:,} junk frames over {sent.connections:,} connections in {seconds:.0f} s "
        f"({sent.frames / seconds:,.0f} a second), {sent.errors:,} answered by an ERROR; meanwhile "
        f"{len(times)} honest exchanges, median {times[len(times) // 2] * 1e3:.0f} ms, "
        f"slowest {times[-1] * 1e3:.0f} ms; store +{grown:,.0f} bytes, trail +{trail:,} bytes in "
        f"{len(records):,} records;",
        ", ".join(
            f"{name} memory {after[name].memory - before[name].memory:+,} bytes, "
            f"descriptors {before[name].descriptors} -> {after[name].descriptors}"
            for name in after
        ),
    )
    assert sent.frames >= FRAMES
    assert (sent.errors, sent.resets) == (sent.errors_due, 0), "every frame was looked at and answered"
    counted = sum(item.record.count for item in records if item.record.code != "EE0E")
    assert counted == sent.refusals_due + warm.refusals_due
    assert len(times) > 100
    assert times[-1] < 2
    assert trail < MEGABYTE
    assert grown < MEGABYTE
    for name in after:
        assert after[name].memory - before[name].memory < MOST_GROWTH
        assert after[name].descriptors <= before[name].descriptors + OF_A_SCRUB
    said = {output.name: output.read_text() for output in site.estate.home.path.glob("*.out")}
    assert sum(map(len, said.values())) - logged < MOST_LOGGED, said
    assert not any(word in text for text in said.values() for word in ("Traceback", "incident", "error"))
    assert verify(site.estate.home, read_public_key(site.estate.home.audit_key)).intact
