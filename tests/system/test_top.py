"""`qekm top` on a terminal of 40 columns, against a real service at work, which goes away and comes back."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import pyte
import pytest

from tests.system.command import QEKM
from tests.system.exchanging import Place, place
from tests.system.processes import environment
from tests.waiting import wait_for

COLUMNS, ROWS = 40, 30


class Terminal:
    """A program on a terminal of a size, and what is to be seen on it."""

    def __init__(self, *words: str) -> None:
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self._stream = pyte.ByteStream(self.screen)
        self.pid, self._descriptor = pty.fork()
        if self.pid == 0:  # its size first: else the program may draw on one of 80 columns
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            command = [*QEKM, *words]
            stale = {"COLUMNS": "200", "LINES": "50"}  # of a shell that exported them before a resize
            os.execve(command[0], command, environment(TERM="xterm-256color", LANG="C.UTF-8", **stale))

    def shows(self, text: str) -> bool:
        """Take what was written meanwhile, and tell whether a text is to be seen."""
        while select.select([self._descriptor], [], [], 0.1)[0]:
            try:
                self._stream.feed(os.read(self._descriptor, 65_536))
            except OSError:  # the program has ended
                break
        return any(text in line for line in self.screen.display)

    def press(self, key: str) -> int:
        """Press a key and wait for the end; return the exit code."""
        os.write(self._descriptor, key.encode())
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
        wait_for(lambda: self.shows("") and os.waitid(os.P_PID, self.pid, ended))
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Return a key manager that has given a key to a drive."""
    with place(tmp_path_factory.mktemp("top"), "alpha") as each:
        each.write("E01001L4", b"a volume")
        yield each


@contextmanager
def watching(site: Place) -> Iterator[Terminal]:
    """Run `qekm top` on a terminal; whatever happens it is ended."""
    terminal = Terminal("--home", str(site.estate.home.path), "top", "--every", "0.5")
    try:
        yield terminal
    finally:
        try:
            os.kill(terminal.pid, signal.SIGKILL)
            os.waitpid(terminal.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def test_drives_are_seen_at_work_and_a_service_that_is_frozen_is_said_until_it_goes_on(site: Place) -> None:
    with watching(site) as terminal:
        wait_for(lambda: terminal.shows("001300000392"))
        wait_for(lambda: terminal.shows("keys ready"))
        site.write("E01002L4", b"another volume")
        wait_for(lambda: terminal.shows("2 keys"))
        service = site.estate.home.running("server")
        assert service is not None
        os.kill(service.pid, signal.SIGSTOP)
        try:
            wait_for(lambda: terminal.shows("NO ANSWER"))
            assert terminal.shows("001300000392"), "what was seen last stays"
        finally:
            os.kill(service.pid, signal.SIGCONT)
        wait_for(lambda: not terminal.shows("NO ANSWER"))
        assert terminal.press("q") == 0


def test_in_a_pipe_and_for_programs_one_picture_is_printed(site: Place) -> None:
    printed = site.qekm("top", "--every", "0.5").stdout
    assert "SERVING" in printed
    assert "001300000392" in printed
    told = json.loads(site.qekm("top", "--every", "0.5", "--json").stdout)
    assert told["activity"]["drives"][0]["serial"] == "001300000392"
    assert set(told["rates"]) == {"written", "read", "refused"}


def test_an_interval_that_would_be_a_load_is_refused(site: Place) -> None:
    assert "--every" in site.qekm("top", "--every", "0.01", code=2).stderr
