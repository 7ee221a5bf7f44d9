"""A terminal at which a block of a page is typed as it stands, and what it asks for is answered."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.waiting import PATIENCE_S

_WAITS = "waiting; "  # for a person at another machine
_SHELL = "/bin/bash"


class Terminal:
    """A shell that runs the lines of a block until one fails."""

    def __init__(self, text: str, folder: Path, environ: Mapping[str, str]) -> None:
        self.screen, self.code = "", -1
        self._answered, self._patient_until = 0, time.monotonic() + PATIENCE_S
        self._child, self._end = pty.fork()
        if self._child == 0:
            os.chdir(folder)
            os.execve(_SHELL, [_SHELL, "-euc", text], {**environ, "TERM": "dumb", "COLUMNS": "160"})

    def go_on(self, answer: Callable[[str], str | None], *, away: bool = False) -> bool:
        """Answer what is asked until the shell has ended; away: or until it waits for somebody else.

        answer: what is typed to a prompt, None if it is none. Returns whether it has ended.
        """
        while self._read():
            if away and _WAITS in self.screen:
                return False
            self._type(answer)
            if time.monotonic() > self._patient_until:
                self.close()
                raise AssertionError(f"nobody knows what to answer, or it does not end:\n{self.screen}")
        self._gone()
        return True

    def close(self) -> None:
        """End what still runs."""
        if self._child:
            os.killpg(self._child, signal.SIGKILL)
            self._gone()

    def _read(self) -> bool:
        """Take what came within a moment; tells whether more may come."""
        if not select.select([self._end], [], [], 0.2)[0]:
            return True
        self._patient_until = time.monotonic() + PATIENCE_S
        try:
            part = os.read(self._end, 65_536)
        except OSError:
            return False
        self.screen += part.decode(errors="replace").replace("\r\n", "\n")
        return bool(part)

    def _type(self, answer: Callable[[str], str | None]) -> None:
        prompt = self.screen[self._answered :].rpartition("\n")[2]
        if not re.search(r"[:?\]] ?$", prompt):
            return
        if (typed := answer(prompt.strip())) is not None:
            os.write(self._end, typed.encode() + b"\n")
            self._answered = len(self.screen)

    def _gone(self) -> None:
        _, status = os.waitpid(self._child, 0)
        os.close(self._end)
        self.code, self._child = os.waitstatus_to_exitcode(status), 0
