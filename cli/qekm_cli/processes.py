"""The service and the gateway as processes of this machine: find, start, wait, stop."""

from __future__ import annotations

import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qekm.errors import GatewayAway, NotInitialised, QekmError, ServiceAway
from qekm.home import Home

START_SECONDS = 60.0  # for both together; a busy machine needs more than twenty
STOP_SECONDS = 40.0  # each; the longest step of a drive's session takes 30 s
CLEAR_SECONDS = 20.0  # for what Ctrl-C interrupts to clear away what it has begun
TAIL = 5  # lines of a log shown when a part does not start


@dataclass(frozen=True, slots=True)
class Part:
    """One of the two processes: its name in the run files, its program, and the error when it is away."""

    name: str
    title: str
    program: str
    away: type[QekmError]


SERVICE = Part("server", "service", "qekm-server", ServiceAway)
GATEWAY = Part("gateway", "gateway", "qekm-gateway", GatewayAway)


def program(name: str) -> str:
    """Return the path of a program of ours: beside `qekm`, beside the interpreter, or on PATH."""
    for directory in (Path(sys.argv[0]).absolute().parent, Path(sys.executable).parent):
        if os.access(directory / name, os.X_OK) and (directory / name).is_file():
            return str(directory / name)
    if found := shutil.which(name):
        return found
    raise NotInitialised(f"the program {name} is not installed beside qekm", hint="install the whole package")


@contextmanager
def starting(home: Home) -> Iterator[None]:
    """Let one at a time start parts of a home: who comes second waits, and finds what the first started."""
    home.run.mkdir(mode=0o700, exist_ok=True)
    handle = os.open(home.run / "start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def start(part: Part, home: Home, descriptor: int | None = None) -> subprocess.Popen[bytes]:
    """Start a part detached from this terminal, its output appended to the native logs.

    `descriptor`, if given, is where the part reads its password.
    """
    words = [program(part.program), "run", "--home", str(home.path)]
    handed = () if descriptor is None else (descriptor,)
    words += ["--password-fd", str(descriptor)] if handed else []
    home.stdout_log.parent.mkdir(mode=0o700, exist_ok=True)
    output, errors = _append(home.stdout_log), _append(home.stderr_log)
    try:
        return subprocess.Popen(  # noqa: S603 - a program of ours by its path
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
            pass_fds=handed,
            cwd="/",
        )
    finally:
        os.close(output)
        os.close(errors)


def run_to_end(words: Sequence[str], **options: Any) -> int:
    """Run a program of ours in this terminal and return its exit code; options: as of subprocess.

    A Ctrl-C is for both: subprocess.run would kill the program a quarter of a second later, whatever it had
    yet to clear away.
    """
    with subprocess.Popen(words, **options) as process:  # noqa: S603 - a program of ours by its path
        try:
            return process.wait()
        except KeyboardInterrupt:
            with suppress(subprocess.TimeoutExpired):
                if process.wait(CLEAR_SECONDS) == 0:
                    return 0  # it had done it all, or the signal was for this program alone
            raise
        finally:
            process.kill()  # not one that has ended


def _append(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def wait_until(
    ready: Callable[[], bool], part: Part, process: subprocess.Popen[bytes], log: Log, until: float
) -> None:
    """Wait for a started part; raises its error with the end of its log when it ended or is late."""
    while not ready():
        code = process.poll()
        late = time.monotonic() > until
        if code is None and not late:
            time.sleep(0.05)
            continue
        told = f"ended with {code}" if code is not None else f"does not answer after {START_SECONDS:.0f} s"
        lines = "".join(f"\n{part.title}: {line}" for line in log.tail())
        raise part.away(f"the {part.title} did not start: it {told}{lines}", hint=f"its log: {log.path}")


@dataclass(frozen=True, slots=True)
class Log:
    """A log file from where it ended before a part was started."""

    path: Path
    offset: int

    @classmethod
    def from_here(cls, path: Path) -> Log:
        """Return the log from its present end."""
        return cls(path, path.stat().st_size if path.exists() else 0)

    def tail(self) -> list[str]:
        """Return the last lines that were written since."""
        try:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return file.read().decode("utf-8", "replace").splitlines()[-TAIL:]
        except OSError:
            return []


def terminate(part: Part, home: Home) -> bool:
    """Send SIGTERM to a part that runs and wait for its end; returns False if it did not run.

    Home.running proves by a lock that the pid is ours; the pidfd taken before that proof keeps the
    signal from a stranger who gets the same pid later. Raises the part's error when it does not end.
    """
    if (handle := _watch(part, home)) is None:
        return False
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        wait_for_end(part, handle)
    finally:
        os.close(handle)
    return True


def runs(part: Part, home: Home) -> bool:
    """Tell whether a part runs.

    Its run file alone may say so for a moment when it was killed while it started another program: that one
    has what was open, the lock of the run file, too.
    """
    if (handle := _watch(part, home)) is None:
        return False
    try:
        return not select.select([handle], [], [], 0)[0]
    finally:
        os.close(handle)


def _watch(part: Part, home: Home) -> int | None:
    """Return a pidfd of a part that runs, or None."""
    found = home.running(part.name)
    if found is None:
        return None
    try:
        handle = os.pidfd_open(found.pid)
    except ProcessLookupError:
        return None
    if home.running(part.name) == found:
        return handle
    os.close(handle)
    return None


def wait_for_end(part: Part, handle: int) -> None:
    """Wait until the process of a pidfd has ended."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    if not poll.poll(STOP_SECONDS * 1000):
        raise part.away(f"the {part.title} was asked to stop and still runs after {STOP_SECONDS:.0f} s")


def end_of(part: Part, home: Home, ask: Callable[[], object]) -> bool:
    """Ask a part to stop and wait for its end, if it runs; returns False if it did not run."""
    if (handle := _watch(part, home)) is None:
        return False
    try:
        ask()
        wait_for_end(part, handle)
    finally:
        os.close(handle)
    return True
