"""The journal of a packaged installation: taken where it may be read, else named with the command for it."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest

from qekm.doctor import processes
from qekm_cli.doctor import answers, journal
from qekm_cli.doctor.bundle import Wanted, gather
from tests.cli.doctor.rig import make_template


def journalctl(folder: Path, script: str) -> str:
    """Put a journalctl into a folder, and return the PATH that finds it first."""
    program = folder / "journalctl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_the_last_lines_of_both_units_are_in_the_bundle_without_what_lets_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = 'echo "$@"; echo "qekm-server[7]: password=hunter2"'
    monkeypatch.setenv("PATH", journalctl(tmp_path, said))
    found = journal.read_journal(30)
    home = make_template(tmp_path / "home")
    members = gather(home, Wanted(30, 0), {}, unavailable, found)
    (asked, last) = members["logs/journal.log"].decode().splitlines()
    assert asked == "-u qekm-server -u qekm-gateway -n 30 --no-pager -o short-iso"
    assert last == "qekm-server[7]: password=(masked)"
    assert "Missing" not in members["README.txt"].decode()


@pytest.mark.parametrize(
    "script",
    [
        "echo 'Hint: You are currently not seeing messages from other users and the system.' >&2",
        "echo 'No journal files were opened due to insufficient permissions.' >&2; exit 1",
        "exit 7",
    ],
)
def test_one_that_may_not_be_read_is_told_with_the_command_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    monkeypatch.setenv("PATH", journalctl(tmp_path, script))
    found = journal.read_journal(30)
    assert found.text == ""
    assert "an administrator adds: journalctl -u qekm-server -u qekm-gateway -n 30" in found.missing
    members = gather(make_template(tmp_path / "home"), Wanted(30, 0), {}, unavailable, found)
    assert "logs/journal.log" not in members
    assert f"Missing: {found.missing}" in members["README.txt"].decode()


def test_one_that_does_not_answer_is_left_at_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", journalctl(tmp_path, "exec sleep 60"))
    assert "did not answer" in journal.read_journal(30, patience_s=0.2).missing


def test_a_machine_without_a_journal_or_with_none_of_ours_has_nothing_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", journalctl(tmp_path, "echo '-- No entries --'"))
    assert journal.read_journal(30) == journal.Journal()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert journal.read_journal(30) == journal.Journal()


def test_who_is_sent_to_a_log_is_sent_to_the_journal_too() -> None:
    gone = processes.Part("server", 0, "", "", left=True)
    (seen, _) = processes.judge([gone])
    assert "journalctl -u qekm-server" in seen.advice
    (seen,) = answers.gateways([], "0.5.0")
    assert "journalctl -u qekm-gateway" in seen.advice


def unavailable() -> NoReturn:
    """Be a service that is down."""
    raise ConnectionRefusedError("nothing listens there")
