"""A disk that does not answer keeps the drive table from being written, and nothing else from anything."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qekm import drivetable
from qekm.configuration.settings import Settings
from qekm.drives import Registry
from qekm.drivetable import PATIENCE_S, URL, DriveTable
from qekm.interchange.roster import parse
from qekm.model import Drive, DriveState
from qekm.v1.drives_pb2 import CreateDriveRequest
from qekm.v1.drives_pb2 import Drive as Entry
from qekm.v1.server_pb2 import GetStatusRequest
from tests.qekm.api.running import running

PROMISE_S = 4.0  # for a service's end: patience, and what a busy machine adds


class Disk:
    """A disk that answers only once the test says so; how often it was asked, and how many waited at most."""

    def __init__(self) -> None:
        self.answers = threading.Event()
        self.asked = self.waiting = self.most = 0

    def write(self, path: Path, content: bytes) -> None:
        """Write when the disk answers."""
        self.asked += 1
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        self.answers.wait()
        self.waiting -= 1
        drivetable.put(path, content)


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Give a disk that answers after a minute at the latest: a test that would wait for it fails, then."""
    found = Disk()
    safety = threading.Timer(60, found.answers.set)
    safety.start()
    yield found
    safety.cancel()
    found.answers.set()


async def test_the_service_works_and_stops_while_the_disk_does_not_answer(tmp_path: Path, disk: Disk) -> None:
    async with running(tmp_path / "home", config__drivetable__file__url="table.csv") as run:
        run.service.drive_table.write = disk.write
        for serial in ("A", "B", "C"):
            await run.client.drives.CreateDrive(CreateDriveRequest(drive=Entry(serial=serial)))
            await run.service.upkeep.tick()
        assert (disk.asked, disk.most) == (1, 1)
        assert "drive table" not in str((await run.client.server.GetStatus(GetStatusRequest())).degraded)
        begun = time.monotonic()
    took_s = time.monotonic() - begun
    print(f"stopped in {took_s:.1f} s, {PATIENCE_S:g} of which the disk had")
    assert not disk.answers.is_set(), "nobody waited for the disk"
    assert took_s < 3 * PROMISE_S


def table(tmp_path: Path, disk: Disk) -> tuple[DriveTable, Registry]:
    """Return a drive table of one drive on a disk."""
    registry = Registry([Drive("A", DriveState.ACCEPTED, 1)], (), (), lambda: 1)
    found = DriveTable(tmp_path, Settings({URL: "table.csv"}, {}), registry)
    found.write = disk.write
    return found, registry


async def test_a_disk_that_answers_late_is_told_of_and_gets_what_has_changed_meanwhile(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, registry = table(tmp_path, disk)
    await found.tick()
    await found.tick()
    assert found.lines() == []
    monkeypatch.setattr(drivetable, "LATE_S", 0.0)
    await found.tick()
    assert "its disk has not answered" in found.lines()[0]
    registry.create(Drive("B", DriveState.ACCEPTED, 1))
    disk.answers.set()
    await found.settle()
    assert found.lines() == []
    assert [entry.serial for entry in parse((tmp_path / "table.csv").read_text())] == ["A"]
    await found.close()
    assert [entry.serial for entry in parse((tmp_path / "table.csv").read_text())] == ["A", "B"]
    assert disk.most == 1


async def test_a_defect_in_writing_is_told_and_the_next_change_is_written(tmp_path: Path, disk: Disk) -> None:
    found, registry = table(tmp_path, disk)

    def fail(path: Path, content: bytes) -> None:
        raise ValueError("a defect")

    found.write = fail
    await found.tick()
    await found.settle()
    assert found.lines() == ["the drive table is not written: internal error"]
    found.write = drivetable.put
    registry.create(Drive("B", DriveState.ACCEPTED, 1))
    await found.close()
    assert found.lines() == []
    assert (tmp_path / "table.csv").exists()


def test_a_loop_ends_while_the_disk_does_not_answer(tmp_path: Path, disk: Disk) -> None:
    async def run() -> None:
        found, _ = table(tmp_path, disk)
        await found.tick()

    asyncio.run(run())  # waits for the threads of its pool, however long they take
    assert not disk.answers.is_set()
