"""Ctrl-C on a command that runs a program of ours: that one clears away what it has begun, however slow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.system.processes import environment
from tests.waiting import wait_for

CLEARING = """
import pathlib, sys, time
place = pathlib.Path(sys.argv[1])
try:
    (place / "begun").touch()
    time.sleep(60)
finally:
    time.sleep(1)
    (place / "cleared").touch()
"""
RUNNING = "import sys; from qekm_cli.processes import run_to_end; sys.exit(run_to_end(sys.argv[1:]))"


def test_a_program_that_was_not_interrupted_itself_is_heard_to_its_end(tmp_path: Path) -> None:
    """Who sends the signal to one process alone, as other programs do."""
    going_on = "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(1); sys.exit({})"
    for code, expected in ((0, 0), (3, -signal.SIGINT)):
        begun = tmp_path / str(code)
        words = [sys.executable, "-c", RUNNING, sys.executable, "-c", going_on.format(code), str(begun)]
        running = subprocess.Popen(words, env=environment(), stderr=subprocess.DEVNULL)
        try:
            wait_for(begun.exists)
            time.sleep(0.1)  # what started it waits by now, or would wait for nothing
            running.send_signal(signal.SIGINT)
            assert running.wait(60) == expected
        finally:
            running.kill()


def test_a_program_that_ctrl_c_interrupts_is_not_killed_while_it_clears_away(tmp_path: Path) -> None:
    words = [sys.executable, "-c", RUNNING, sys.executable, "-c", CLEARING, str(tmp_path)]
    running = subprocess.Popen(words, env=environment(), start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        wait_for((tmp_path / "begun").exists)
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(60) != 0
        wait_for((tmp_path / "cleared").exists)  # one that is killed never gets there
    finally:
        running.kill()
