"""`qekm` on a host, many commands in one process: a program for each costs a test more than what it does.

python -m tests.peers.operator HOME; a line of JSON on standard input, the words of a command; one line comes
back, the exit code and what was said: [0, "...", ""].
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.peers.namespaces import Host
from tests.system.processes import environment


class Operator:
    """Somebody who sits at a host's keyboard."""

    def __init__(self, host: Host, home: Path) -> None:
        self._child = subprocess.Popen(
            [*host.inside, sys.executable, "-m", __name__, str(home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )

    def type(self, *words: str) -> tuple[int, str, str]:
        """Return the exit code of a command and what it said, on standard output and on standard error."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(words) + "\n")
        self._child.stdin.flush()
        code, said, complained = json.loads(self._child.stdout.readline())
        return code, said, complained

    def leave(self) -> None:
        """End."""
        self._child.kill()
        self._child.communicate()


def obey(words: list[str]) -> tuple[int, str, str]:
    """Run one command here."""
    from qekm_cli.app import PROGRAM, run, say

    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        ending = run(words)
        say(ending, PROGRAM)
    return ending.code, said.getvalue(), complained.getvalue()


if __name__ == "__main__":
    os.environ["QEKM_HOME"] = sys.argv[1]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    for line in sys.stdin:
        answers.write(json.dumps(obey(json.loads(line))) + "\n")
