"""One process owns a store: an exclusive lock that ends with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
import select
import time
from contextlib import suppress
from pathlib import Path

from qekm.errors import StoreInUse

_PATIENCE_S, _PAUSE_S = 5.0, 0.01


class Lock:
    """An flock held on a file beside the store; the file tells the holder's pid to whoever comes second."""

    def __init__(self, path: Path, patience_s: float = _PATIENCE_S) -> None:
        """Take the lock; StoreInUse (details: pid, if told) when another has it, else OSError.

        patience_s: how long a holder is waited for that is no more. A process that is killed while it starts
        another leaves one behind that is not yet the other, and has all that was open until it is.
        """
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            self._take(path, time.monotonic() + patience_s)
        except BaseException:
            os.close(self._handle)
            raise
        # The pid is a courtesy; a full disk shows itself at the first write that matters.
        with suppress(OSError):
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, f"{os.getpid()}\n".encode(), 0)

    def _take(self, path: Path, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                told = os.pread(self._handle, 32, 0).decode("ascii", "replace").strip()
                if _is_alive(told) or time.monotonic() >= deadline:
                    raise _in_use(path, told) from None
            else:
                return
            time.sleep(_PAUSE_S)

    def close(self) -> None:
        """Give the lock back. The file stays: else two processes could lock two files of one name."""
        if self._handle >= 0:
            with suppress(OSError):
                os.ftruncate(self._handle, 0)
            os.close(self._handle)
            self._handle = -1


def _is_alive(told: str) -> bool:
    """Tell whether a process may live whose pid a lock's file tells; of what is told by no number it may."""
    if not told.isdecimal():
        return True
    try:
        handle = os.pidfd_open(int(told))
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    try:
        ended, _, _ = select.select([handle], [], [], 0)  # though nobody has waited for it yet
        return not ended
    finally:
        os.close(handle)


def _in_use(path: Path, told: str) -> StoreInUse:
    if told.isdecimal():
        return StoreInUse(f"process {told} has the store in {path.parent} open", pid=told)
    return StoreInUse(f"another process has the store in {path.parent} open")
