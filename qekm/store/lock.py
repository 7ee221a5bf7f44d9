"""One process owns a store: an exclusive lock that ends with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from qekm.errors import StoreInUse


class Lock:
    """An flock held on a file beside the store; the file tells the holder's pid to whoever comes second."""

    def __init__(self, path: Path) -> None:
        """Take the lock at once; StoreInUse (details: pid, if told) when another has it, else OSError."""
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = os.pread(self._handle, 32, 0).decode("ascii", "replace").strip()
            os.close(self._handle)
            raise _in_use(path, told) from None
        with suppress(
            OSError
        ):  # the pid is a courtesy; a full disk shows itself at the first write that matters
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def close(self) -> None:
        """Give the lock back. The file stays: else two processes could lock two files of one name."""
        if self._handle >= 0:
            with suppress(OSError):
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1


def _in_use(path: Path, told: str) -> StoreInUse:
    if told.isdigit():
        return StoreInUse(f"process {told} has the store in {path.parent} open", pid=told)
    return StoreInUse(f"another process has the store in {path.parent} open")
