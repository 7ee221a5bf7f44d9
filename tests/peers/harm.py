"""What happens to a server beside its wire: frozen processes, full and lost disks, a clock that steps."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.peers.namespaces import PREFIX, UnavailableError, run

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
_YEAR_S = 31_557_600
_PATIENCE_S = 10.0


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process as it stands (SIGSTOP) for a block; its sockets stay, and the kernel accepts for it."""
    os.kill(pid, signal.SIGSTOP)
    try:
        deadline = time.monotonic() + _PATIENCE_S
        while state_of(pid) != "T":
            assert time.monotonic() < deadline, f"process {pid} does not stop"
            time.sleep(0.001)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def state_of(pid: int) -> str:
    """Return the letter of a process's state, as proc(5) has it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def destroy(directory: Path) -> None:
    """Remove a disk's whole content, whatever is written to it meanwhile."""
    while directory.exists():
        shutil.rmtree(directory, ignore_errors=True)


class SmallDisk:
    """A disk of a few megabytes in memory, mounted for a `with` block; it can be filled to the last byte."""

    def __init__(self, path: Path, megabytes: int = 64) -> None:
        self.path = path
        self._size = f"size={megabytes}m"
        self._ballast = path / "ballast"

    def __enter__(self) -> SmallDisk:
        sweep_disks()
        self.path.mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", self._size, f"{PREFIX}-{os.getpid()}", str(self.path))
        return self

    def __exit__(self, *_: object) -> None:
        run("umount", "--lazy", str(self.path))

    def fill(self) -> None:
        """Leave no room; files that are there keep theirs."""
        with self._ballast.open("ab", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12):
                with suppress(_Full):
                    while True:
                        _put(ballast.fileno(), bytes(size))

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)


class _Full(Exception):
    """There is no room."""


def _put(handle: int, content: bytes) -> None:
    try:
        if os.write(handle, content) < len(content):
            raise _Full
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _Full from None


def sweep_disks() -> None:
    """Unmount the disks of tests that died."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        source, place, kind, *_ = line.split(" ")
        name, _, owner = source.rpartition("-")
        if (name, kind) == (PREFIX, "tmpfs") and not Path("/proc", owner).exists():
            with suppress(UnavailableError):
                run("umount", "--lazy", place)


class Clock:
    """A host's clock, for the programs that are started with `environ`; it steps while they run.

    Only what tells the date: the clock that measures durations goes on, as on a machine whose date is set.
    """

    def __init__(self, file: Path) -> None:
        """Have the date that `file` says; UnavailableError without libfaketime."""
        if not LIBRARY.exists():
            raise UnavailableError("libfaketime is not installed")
        self._file = file
        self.step(0)

    @property
    def environ(self) -> dict[str, str]:
        """What a program's environment must say."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",  # the file is read each time
            "DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # its later name
            "NO_FAKE_STAT": "1",  # the disk's dates are the disk's
        }

    def step(self, years: float) -> None:
        """Set the date so many years from now; 0: to the right one."""
        aside = self._file.with_suffix(".new")
        aside.write_text(f"{years * _YEAR_S:+.0f}\n")
        aside.replace(self._file)  # read at any time: never half a file
