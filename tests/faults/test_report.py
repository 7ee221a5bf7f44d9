"""The report fails a run whose tests all passed, when a key was lost or a broken build looked honest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.report import Report

CONFTEST = """
from tests.faults.report import *
from tests.faults.report import pytest_addoption, pytest_configure, report
"""
TEST = """
import pytest
def test_it(report):
    {}
def test_elsewhere():
    pytest.skip("no such kernel")
"""
TWO = ("-n", "2")  # processes


def run(folder: Path, body: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a test with this body under the plugin."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(TEST.format(body))
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [*command, *options, str(folder)],
        cwd=Path(__file__).parents[2],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(
    ("body", "options", "code", "told"),
    [
        ("report.tried('r', 'w', 3); report.control('r', 'b', True)", ("--whole",), 0, "1 skipped, 0 lost"),
        ("report.tried('r', 'w', 3, lost=1)", (), 1, "FAILED: r, w: 1 lost"),
        ("report.control('r', 'b', False)", (), 1, "(b) was not caught"),
        ("report.tried('r', 'w', 3)", ("--whole",), 1, "r: no negative control ran"),
        ("report.tried('r', 'w', 3)", (), 0, "test_elsewhere: no such kernel"),
        ("report.tried('r', 'w', 3); assert 0", (), 1, "1 skipped, 0 lost"),
        (
            "report.tried('r', 'w', 3); report.control('r', 'b', True)",
            ("--whole", *TWO),
            0,
            "1 skipped, 0 lost",
        ),
        ("report.tried('r', 'w', 3, lost=1)", TWO, 1, "FAILED: r, w: 1 lost"),
        ("report.tried('r', 'w', 3)", ("--whole", *TWO), 1, "r: no negative control ran"),
    ],
)
def test_a_run_fails_for_what_its_report_says(
    tmp_path: Path, body: str, options: tuple[str, ...], code: int, told: str
) -> None:
    done = run(tmp_path, body, *options)
    assert (done.returncode, told in done.stdout) == (code, True), done.stdout + done.stderr


def test_the_table_has_a_line_for_each_rig_and_each_control() -> None:
    made = Report()
    made.tried("flips", "bits of a store", 2_000, detected=1_500, benign=500)
    made.control("flips", "no root", True)
    made.control("flips", "no MACs", False)
    lines = list(made.lines())
    assert lines[2].split() == ["flips", "bits", "of", "a", "store", "2,000", "1,500", "500", "0"]
    assert lines[3].split(": ")[1] == "no root caught, no MACs NOT CAUGHT"
    assert len(made.flaws) == 1
