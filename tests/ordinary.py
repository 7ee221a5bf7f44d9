"""Programs as an ordinary user runs them: no file of root's is theirs, and no port below 1024."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NOBODY = 65_534


def ordinary() -> list[str]:
    """Return the words that a command begins with to be an ordinary user's; skips where none can be had."""
    if os.geteuid() != 0:
        return []
    found = shutil.which("setpriv")
    if found is None:
        pytest.skip("setpriv is not installed")
    return [found, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all"]


def privileged_port() -> int:
    """Return a port that an ordinary user may not have; skips where he may have any."""
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first <= 81:
        pytest.skip("every user may have every port here")
    return 81


def python_as_ordinary(code: str) -> str:
    """Run Python as an ordinary user and return what it prints; skips where he cannot read the program."""
    command = [*ordinary(), sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "ModuleNotFoundError" in done.stderr or "PermissionError" in done.stderr:
        pytest.skip("the checkout is in a directory that an ordinary user cannot read")
    assert done.returncode == 0, done.stderr
    return done.stdout
