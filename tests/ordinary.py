"""Programs as an ordinary user runs them: no file of root's is theirs, and no port below 1024."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
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


def open_to_all(path: Path) -> None:
    """Let everybody reach a directory."""
    for each in (path, *path.parents):
        if each.is_dir() and each.stat().st_uid == os.geteuid() and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o755)


@contextmanager
def unsynced(directory: Path) -> Iterator[None]:
    """Be an ordinary user who may write in a directory and not read it, so that it cannot be synced."""
    before, is_root = directory.stat(), os.geteuid() == 0
    open_to_all(directory)
    if is_root:
        for each in (directory, *directory.iterdir()):
            os.chown(each, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    directory.chmod(0o300)
    try:
        yield
    finally:
        directory.chmod(before.st_mode)
        if is_root:
            os.seteuid(0)


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
