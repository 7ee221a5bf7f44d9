"""A short form of the fuzzing; the long one is `python tests/fuzz/fuzz_frame.py --runs 3000000`."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("atheris"), reason="atheris is not installed")
HARNESS = Path(__file__).with_name("fuzz_frame.py")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the harness to its end."""
    command = [sys.executable, str(HARNESS), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_fuzzing_finds_nothing_in_the_codec() -> None:
    done = run("--runs", "10000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Done 10000" in done.stderr


def test_fuzzing_finds_the_seeded_bug() -> None:
    done = run("--runs", "1000000", "--seeded")
    assert done.returncode == 77, done.stdout + done.stderr
    assert "found with the frame 51454b4d" in done.stdout
    assert "IndexError" in done.stdout + done.stderr
