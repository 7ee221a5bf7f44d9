"""A program that is forked does what it does when it is started, and its end is told as Popen tells it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.system.forking import become, can_fork, fork, fork_program
from tests.system.processes import environment

PATIENCE_S = 120.0


def tell(place: str, environ: dict[str, str]) -> None:
    """Write down what a forked process has for its environment."""
    become(environ)
    Path(place).write_text(repr(sorted(os.environ.items())))


@pytest.mark.parametrize(
    "words", [("calendar", "2026", "1"), ("calendar", "--nonsense"), ("qekm.server", "run")]
)
def test_it_says_and_ends_with_what_a_start_says_and_ends_with(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    environ = environment(QEKM_HOME=str(tmp_path / "none"))
    started = subprocess.run(
        [sys.executable, "-m", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environ,
        check=False,
        timeout=PATIENCE_S,
    )
    output = tmp_path / "output"
    forked = fork_program(words[0], words[1:], output, environ)
    assert (forked.wait(PATIENCE_S), output.read_bytes()) == (started.returncode, started.stdout)


def test_its_environment_is_the_one_that_it_is_given_and_nothing_else(tmp_path: Path) -> None:
    fork(tell, str(tmp_path / "told"), {"ONLY": "this"}).wait(PATIENCE_S)
    assert (tmp_path / "told").read_text() == repr([("ONLY", "this")])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_that_ends_it_is_told(number: int) -> None:
    child = fork(time.sleep, 600)
    assert child.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.01)
    child.send_signal(number)
    assert child.wait(PATIENCE_S) == child.returncode == -number
    child.kill()  # of one that has ended


@pytest.mark.parametrize(
    ("environ", "under", "can"),
    [
        ({}, (), True),
        ({}, ("nsenter", "--net=/run/netns/x", "--"), True),
        ({}, ("setpriv", "--no-new-privs"), False),
        ({"QEKM_FAILPOINT": "commit.before=exit"}, (), False),
        ({"QEKM_FAILPOINT": ""}, (), True),
        ({"LD_PRELOAD": "date.so"}, (), False),
    ],
)
def test_what_only_a_start_can_have_is_started(
    environ: dict[str, str], under: tuple[str, ...], can: bool
) -> None:
    assert can_fork(environ, under) == can
