"""A short form of the fuzzing of Java's keystores; long: `python tests/fuzz/fuzz_jceks.py --runs 3000000`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris is not installed")
HARNESS = Path(__file__).with_name("fuzz_jceks.py")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the harness to its end."""
    command = [sys.executable, str(HARNESS), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_fuzzing_finds_nothing_in_the_reader() -> None:
    done = run("--runs", "5000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Done 5000" in done.stderr


def test_fuzzing_finds_the_seeded_bug() -> None:
    done = run("--runs", "1000000", "--seeded")
    assert done.returncode == 77, done.stdout + done.stderr
    assert "found with the input" in done.stdout
    assert "ValueError" in done.stdout + done.stderr or "OverflowError" in done.stdout + done.stderr
