"""Programs that are forked from a process which has everything imported: a start costs a tenth of a second.

For rigs that start hundreds of them. A program that is forked is what `python -m` runs, in a process of its
own: its arguments, its environment, its output, its host. What a program reads of its environment while it
is imported (QEKM_FAILPOINT), what says which program it is (PYTHONSAFEPATH, of another release) and what the
dynamic linker reads (LD_PRELOAD) needs a real start.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
PRELOAD = ["tests.system.imported"]
CONTEXT.set_forkserver_preload(PRELOAD)
_AT_THE_BEGINNING = ("QEKM_FAILPOINT", "PYTHONSAFEPATH", "LD_PRELOAD")
_INTO_HOST = ("nsenter", "--net=")  # what a command begins with that is run on a host of a network


def can_fork(environ: Mapping[str, str], under: Sequence[str]) -> bool:
    """Tell whether a program with this environment, run by this command, can be forked."""
    return not any(environ.get(name) for name in _AT_THE_BEGINNING) and (not under or _host_of(under) != "")


def _host_of(under: Sequence[str]) -> str:
    """Return the file of the network namespace that a command enters, if it does nothing else."""
    if len(under) == 3 and under[0] == _INTO_HOST[0] and under[1].startswith(_INTO_HOST[1]):
        return under[1].removeprefix(_INTO_HOST[1])
    return ""


class Forked:
    """A forked process, as subprocess.Popen has it."""

    def __init__(self, process: ForkServerProcess) -> None:
        process.start()
        self._process = process
        assert process.pid is not None
        self.pid: int = process.pid

    def poll(self) -> int | None:
        """Return the exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    @property
    def returncode(self) -> int | None:
        """The same."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit code; TimeoutExpired."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal to it, if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._process.kill()


def fork(function: Callable[..., None], *arguments: object) -> Forked:
    """Run a function of a module in a forked process."""
    return Forked(CONTEXT.Process(target=function, args=arguments, daemon=True))


def fork_program(
    module: str, arguments: Sequence[str], output: Path, environ: Mapping[str, str], under: Sequence[str] = ()
) -> Forked:
    """Run a module as `python -m` does, with this environment; its output is added to a file."""
    return fork(_run, module, [*arguments], str(output), dict(environ), _host_of(under))


def _run(module: str, arguments: list[str], output: str, environ: dict[str, str], host: str) -> None:
    become(environ, host)
    said = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for handle, place in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(handle, place)
    sys.stdout, sys.stderr = (os.fdopen(place, "w", buffering=1, closefd=False) for place in (1, 2))
    sys.argv = [module, *arguments]
    sys.modules.pop(module, None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def become(environ: Mapping[str, str], host: str = "") -> None:
    """Have this process's environment be this, and its network that of a host, if one is named."""
    os.environ.clear()
    os.environ.update(environ)
    if host:
        _enter(host)


def _enter(host: str) -> None:
    import ctypes

    libc: Any = ctypes.CDLL(None, use_errno=True)
    with Path(host).open("rb") as handle:
        if libc.setns(handle.fileno(), 0x40000000) != 0:  # CLONE_NEWNET
            raise OSError(ctypes.get_errno(), "setns")
