"""Each harm is the harm that it says, and over when it is over."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.harm import Clock, SmallDisk, destroy, frozen, state_of, sweep_disks
from tests.peers.namespaces import PREFIX, UnavailableError, run

_TELLS = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"
_COUNTS = "import time\nwhile True: print(1, flush=True); time.sleep(0.01)"
YEAR_S = 31_557_600


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """Return a disk of four megabytes; skips where none can be mounted."""
    try:
        with SmallDisk(tmp_path / "disk", megabytes=4) as disk:
            yield disk
    except UnavailableError as error:
        pytest.skip(f"no small disk here: {error}")


def test_a_frozen_process_does_nothing_and_goes_on(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("wb") as output, subprocess.Popen([sys.executable, "-c", _COUNTS], stdout=output) as child:
        grows(said)
        with frozen(child.pid):
            assert state_of(child.pid) == "T"
            before = said.stat().st_size
            time.sleep(0.2)
            assert said.stat().st_size == before
        grows(said)
        child.kill()


def grows(file: Path) -> None:
    """Wait until a file is larger; AssertionError."""
    before, deadline = file.stat().st_size, time.monotonic() + 30
    while file.stat().st_size == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_full_disk_takes_nothing_until_it_is_freed(disk: SmallDisk) -> None:
    (disk.path / "before").write_bytes(b"kept")
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        (disk.path / "new").write_bytes(bytes(4_096))
    assert (disk.path / "before").read_bytes() == b"kept"
    disk.free()
    (disk.path / "new").write_bytes(bytes(4_096))


def test_a_disk_that_a_killed_test_left_is_unmounted(tmp_path: Path, disk: SmallDisk) -> None:
    place = tmp_path / "left"
    place.mkdir()
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(30)
    run("mount", "-t", "tmpfs", f"{PREFIX}-{child.pid}", str(place))
    sweep_disks()
    mounted = Path("/proc/self/mounts").read_text()
    assert str(place) not in mounted
    assert str(disk.path) in mounted, "the disk of a test that lives stays"


def test_a_destroyed_disk_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "home" / "store").mkdir(parents=True)
    (tmp_path / "home" / "store" / "file").write_bytes(b"x")
    destroy(tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("years", [-10.0, 10.0])
def test_a_clock_steps_under_a_program_that_runs_and_durations_stay(tmp_path: Path, years: float) -> None:
    try:
        clock = Clock(tmp_path / "clock")
    except UnavailableError as error:
        pytest.skip(str(error))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environ = os.environ | clock.environ
    with subprocess.Popen([sys.executable, "-c", _TELLS], env=environ, **pipes) as child:  # type: ignore[call-overload]

        def off() -> tuple[float, float]:
            child.stdin.write("\n")
            child.stdin.flush()
            date, duration = map(float, child.stdout.readline().split())
            return date - time.time(), duration - time.monotonic()

        for step in (0.0, years, 0.0):
            clock.step(step)
            date, duration = off()
            assert abs(date - step * YEAR_S) < 60
            assert abs(duration) < 60
        child.stdin.close()
