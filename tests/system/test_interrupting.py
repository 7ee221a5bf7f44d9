"""Ctrl-C on a command that runs a program of ours: that one clears away what it has begun, however slow."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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


def test_a_program_that_ctrl_c_interrupts_is_not_killed_while_it_clears_away(tmp_path: Path) -> None:
    words = [sys.executable, "-c", RUNNING, sys.executable, "-c", CLEARING, str(tmp_path)]
    running = subprocess.Popen(words, env=environment(), start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        wait_for((tmp_path / "begun").exists)
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(60) != 0
        assert (tmp_path / "cleared").exists()
    finally:
        running.kill()
