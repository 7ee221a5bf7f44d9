"""native_stdout.log and native_stderr.log: every start and stop of a process, whoever started it.

`qekm server start` has the processes' own output appended to these files, too; so each is bounded where a
process begins, in place: others go on writing to the same file.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import sys
from contextlib import suppress
from pathlib import Path

from qekm.clock import now_us
from qekm.errors import QekmError
from qekm.home import Home
from qekm.logs.escaping import escape
from qekm.logs.stamp import stamp

MOST = 10_000_000  # bytes at a start; the former content is kept beside it, as .1
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Native:
    """One process's lines. A file that cannot be written is left alone: nothing depends on it."""

    def __init__(self, home: Home, title: str, version: str) -> None:
        """Take what the process is called for people: service or gateway."""
        self._home, self._who = home, f"{title} version {version}, pid {os.getpid()}"

    def starting(self) -> None:
        """Tell that the process begins; bound the files."""
        for path in (self._home.stdout_log, self._home.stderr_log):
            with suppress(OSError):
                path.parent.mkdir(mode=0o700, exist_ok=True)
                _bound(path)
        self._say("starting")

    def started(self, ports: dict[str, int]) -> None:
        """Tell that it has started, and where it listens."""
        told = ", ".join(f"{name} port {port}" for name, port in ports.items())
        self._say(f"started, {told}" if told else "started")

    def stopped(self) -> None:
        """Tell that it has stopped as it should."""
        self._say("stopped")

    def failed(self, error: BaseException, started: bool) -> None:
        """Tell that it did not start, or did not end as it should, and why."""
        what = "ended with an error" if started else "did not start"
        self._say(f"{what}: see {self._home.stderr_log.name}")
        if _is_stderr(self._home.stderr_log):
            return  # where the program itself says it
        if isinstance(error, QekmError):
            lines = [f"error: {error.message}", *([f"hint: {error.advice}"] if error.advice else [])]
        else:
            lines = [f"error: {type(error).__name__}: {error}"]
        for line in lines:
            self._write(self._home.stderr_log, line)

    def _say(self, what: str) -> None:
        self._write(self._home.stdout_log, what)

    def _write(self, path: Path, what: str) -> None:
        line = f"EKMServer: {stamp(now_us())} {self._who}: {escape(what)}\n"
        with suppress(OSError):
            handle = os.open(path, _FLAGS, 0o600)
            try:
                if stat.S_ISREG(os.fstat(handle).st_mode):
                    os.write(handle, line.encode())
            finally:
                os.close(handle)


def _bound(path: Path) -> None:
    """Put what a file holds beside it, as .1, and empty it, if it is larger than it may be; OSError."""
    with os.fdopen(os.open(path, _FLAGS, 0o600), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # one at a time: who comes second finds it small
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size <= MOST:
            return
        file.seek(found.st_size - MOST)
        former = path.with_name(f"{path.name}.1")
        former.unlink(missing_ok=True)
        with os.fdopen(os.open(former, _FLAGS | os.O_EXCL, 0o600), "wb") as copy:
            shutil.copyfileobj(file, copy)
        os.ftruncate(file.fileno(), 0)


def _is_stderr(path: Path) -> bool:
    with suppress(OSError, ValueError):  # standard error may be closed, or no file at all
        return os.path.samestat(path.stat(), os.fstat(sys.stderr.fileno()))
    return False
