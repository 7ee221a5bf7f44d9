"""`qekm` on a host, many commands in one process: a program for each costs a test more than what it does."""

from __future__ import annotations

import contextlib
import io
from multiprocessing.connection import Connection
from pathlib import Path

from tests.peers.namespaces import Host
from tests.system.forking import CONTEXT, become, fork
from tests.system.processes import environment


class Operator:
    """Somebody who sits at a host's keyboard."""

    def __init__(self, host: Host, home: Path) -> None:
        self._ours, theirs = CONTEXT.Pipe()
        self._child = fork(_sit, theirs, environment(QEKM_HOME=str(home)), str(host.file))
        theirs.close()

    def type(self, *words: str) -> tuple[int, str, str]:
        """Return the exit code of a command and what it said, on standard output and on standard error."""
        self._ours.send(words)
        code, said, complained = self._ours.recv()
        return code, said, complained

    def leave(self) -> None:
        """End."""
        self._child.kill()
        self._child.wait(60)


def _sit(wanted: Connection, environ: dict[str, str], host: str) -> None:
    """Obey until nobody wants anything any more."""
    become(environ, host)
    with contextlib.suppress(EOFError):
        while True:
            wanted.send(obey(list(wanted.recv())))


def obey(words: list[str]) -> tuple[int, str, str]:
    """Run one command here."""
    from qekm_cli.app import PROGRAM, run, say

    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        ending = run(words)
        say(ending, PROGRAM)
    return ending.code, said.getvalue(), complained.getvalue()
