"""What happens to a server beside its wire: frozen processes, full and lost disks, a clock that steps."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.peers.namespaces import PREFIX, UnavailableError, run

_SHIM = Path(__file__).with_name("date.c")
_WARNED = ("-Wall", "-Wextra", "-Werror")
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

    Only what tells the date: the clock that measures durations goes on, as on a machine whose date is set. By
    a shim of our own: libfaketime asks for a lock and reads a file each time that gRPC asks for the date,
    which makes a server thirty times as slow, and that is what a test would then see.
    """

    def __init__(self, folder: Path) -> None:
        """Have a date of its own, and what is needed for that in a folder; UnavailableError without gcc."""
        folder.mkdir(exist_ok=True)
        self._off, self._shim = folder / "off", folder / "date.so"
        run("gcc", *_WARNED, "-O2", "-shared", "-fPIC", "-o", str(self._shim), str(_SHIM))
        self._off.write_bytes(bytes(8))

    @property
    def environ(self) -> dict[str, str]:
        """What a program's environment must say."""
        return {"LD_PRELOAD": str(self._shim), "QEKM_DATE": str(self._off)}

    def step(self, years: float) -> None:
        """Set the date so many years from now, at once; 0: to the right one."""
        with self._off.open("r+b", buffering=0) as file:  # programs have it mapped: never another file
            file.write(round(years * _YEAR_S * 1e9).to_bytes(8, sys.byteorder, signed=True))
