"""Every start and stop of a process is one line, and every failure is told once, whoever started it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from qekm.errors import PortInUse
from qekm.home import Home
from qekm.logs.native import MOST, Native

LINE = re.compile(r"EKMServer: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z service version 9\.9, pid (\d+): (.*)")
ROOT = Path(__file__).parents[3]
FAILING = """
import os, sys
from pathlib import Path
from qekm.errors import PortInUse
from qekm.home import Home
from qekm.logs.native import Native
home = Home(Path(sys.argv[1]))
native = Native(home, "service", "9.9")
native.starting()
print("qekm-server: error: port 3802 is taken", file=sys.stderr)
native.failed(PortInUse("port 3802 is taken"), False)
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "home").mkdir()
    return Home(tmp_path / "home")


def said(path: Path) -> list[str]:
    """Return what the lines of a file say; all of them are ours and of this process."""
    lines = [LINE.fullmatch(line) for line in path.read_text().splitlines()]
    assert all(line and line[1] == str(os.getpid()) for line in lines)
    return [line[2] for line in lines if line]


def test_a_start_and_a_stop_are_three_lines(home: Home) -> None:
    native = Native(home, "service", "9.9")
    native.starting()
    native.started({"grpc": 3802, "ssl": 443})
    native.stopped()
    assert said(home.stdout_log) == ["starting", "started, grpc port 3802, ssl port 443", "stopped"]
    assert home.stderr_log.read_text() == ""
    assert {path.stat().st_mode & 0o777 for path in (home.stdout_log, home.stderr_log)} == {0o600}


@pytest.mark.parametrize("started", [False, True])
def test_a_failure_is_told_with_error_and_hint(home: Home, started: bool) -> None:
    native = Native(home, "service", "9.9")
    native.starting()
    native.failed(PortInUse("port 3802 is\ntaken", hint="stop it"), started)
    what = "ended with an error" if started else "did not start"
    assert said(home.stdout_log) == ["starting", f"{what}: see native_stderr.log"]
    assert said(home.stderr_log) == ["error: port 3802 is\\u000ataken", "hint: stop it"]


def test_what_is_unforeseen_is_told_too(home: Home) -> None:
    Native(home, "service", "9.9").failed(KeyError("x"), True)
    assert not home.stderr_log.exists()  # nothing began: there is no directory
    native = Native(home, "service", "9.9")
    native.starting()
    native.failed(KeyError("x"), True)
    assert said(home.stderr_log) == ["error: KeyError: 'x'"]


@pytest.mark.parametrize("same", [True, False])
def test_where_standard_error_is_that_file_nothing_is_told_twice(home: Home, same: bool) -> None:
    home.stderr_log.parent.mkdir()
    with (home.stderr_log if same else home.path / "out").open("ab") as errors:
        command = [sys.executable, "-c", FAILING, str(home.path)]
        subprocess.run(command, stderr=errors, check=True, cwd=ROOT)
    lines = home.stderr_log.read_text().splitlines()
    assert len([line for line in lines if "port 3802 is taken" in line]) == 1
    assert lines[0].startswith("qekm-server:" if same else "EKMServer:")


def test_at_a_start_a_large_file_becomes_its_predecessor_and_others_go_on_writing(home: Home) -> None:
    home.stdout_log.parent.mkdir()
    with home.stdout_log.open("ab", buffering=0) as other:
        other.write(b"old\n" * (MOST // 4 + 1))
        former = home.stdout_log.read_bytes()
        Native(home, "service", "9.9").starting()
        other.write(b"another process\n")
    lines = home.stdout_log.read_text().splitlines()
    assert (len(lines), lines[1]) == (2, "another process")
    assert former.endswith(home.stdout_log.with_name("native_stdout.log.1").read_bytes())
    assert home.stdout_log.with_name("native_stdout.log.1").stat().st_size == MOST


def test_what_cannot_be_written_is_left_alone(home: Home) -> None:
    home.stdout_log.mkdir(parents=True)
    os.mkfifo(home.stderr_log)
    native = Native(home, "service", "9.9")
    native.starting()
    native.failed(KeyError("x"), True)
    native.stopped()


def test_nothing_is_written_through_a_link(home: Home, tmp_path: Path) -> None:
    home.stdout_log.parent.mkdir()
    home.stdout_log.symlink_to(tmp_path / "victim")
    Native(home, "service", "9.9").starting()
    assert not (tmp_path / "victim").exists()
