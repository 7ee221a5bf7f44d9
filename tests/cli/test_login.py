"""The command password of `qekm`: asked for, from a file or descriptor, or proved by a kept session."""

import json
import os
import stat
from pathlib import Path

import pytest

from qekm.errors import ServiceAway

from .conftest import Qekm
from .fake_service import FakeService
from .fake_service.accounts import ADMINISTRATOR
from .terminal import typed_to_qekm

RIGHT = "correct horse"
WANTED = "service.accounts.passwords[(1, 'administrator')] = b'correct horse'"
LOGINS = "print(service.accounts.logins)"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home that the environment names."""
    monkeypatch.setenv("QEKM_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def password(service: FakeService, home: Path) -> Path:
    """Give the administrator a command password, and the file that it is in."""
    service.accounts.passwords[ADMINISTRATOR] = RIGHT.encode()
    file = home / "password"
    file.write_text(f"{RIGHT}\n")
    return file


def kept(home: Path) -> Path:
    return home / "run" / "session-administrator"


def test_login_keeps_a_session_and_the_commands_after_it_ask_nothing(
    qekm: Qekm, service: FakeService, home: Path, password: Path
) -> None:
    told = qekm("login", "--command-password-file", str(password))
    assert (told.code, told.err) == (0, "")
    assert told.out == "administrator/administrator is logged in until 2027-01-15T08:15:00Z\n"
    assert stat.S_IMODE(kept(home).stat().st_mode) == 0o600
    assert stat.S_IMODE(kept(home).parent.stat().st_mode) == 0o700
    assert RIGHT not in kept(home).read_text()
    assert qekm("keys", "list").code == 0
    assert qekm("accounts", "list").code == 0
    assert len(service.accounts.logins) == 1
    assert qekm("logout").out == "administrator is logged out\n"
    assert (service.accounts.sessions, kept(home).exists()) == (set(), False)
    assert qekm("logout").out == "administrator was not logged in\n"


def test_without_a_session_each_command_proves_for_itself_and_none_is_kept(
    qekm: Qekm, service: FakeService, home: Path, password: Path
) -> None:
    for place in (("--command-password-file", str(password)), ("--command-password-file", str(password))):
        assert qekm(*place, "keys", "list").code == 0
        assert qekm("keys", "list", *place).code == 0
    reader, writer = os.pipe()
    os.write(writer, RIGHT.encode())
    os.close(writer)
    assert qekm("keys", "list", "--command-password-fd", str(reader)).code == 0
    os.close(reader)
    assert len(service.accounts.logins) == 5
    assert not kept(home).exists()


def test_where_nobody_can_be_asked_the_error_says_how_to_go_on(
    qekm: Qekm, home: Path, password: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = qekm("keys", "list")
    assert (told.code, told.out) == (8, "")
    assert "there is no terminal to ask on" in told.err
    assert "--command-password-file" in told.err and "qekm login" in told.err


def test_a_wrong_password_is_tried_once_and_nothing_is_kept(
    qekm: Qekm, service: FakeService, home: Path, password: Path
) -> None:
    password.write_text("wrong horse\n")
    for words in (("login",), ("keys", "list")):
        told = qekm(*words, "--command-password-file", str(password))
        assert (told.code, told.out) == (2, "")
        assert told.err.startswith("qekm: error: this is not the command password of")
    assert (len(service.accounts.logins), kept(home).exists()) == (2, False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--command-password-file", "no-such-file"), "no-such-file: No such file"),
        (("--command-password-fd", "x"), "'x' is not a whole number"),
        (("--command-password-fd", "77"), "descriptor 77 cannot be read"),
        (("--command-password-fd", "0"), "a password has 8 to 1,024 characters"),
        (
            ("--command-password-file", "f", "--command-password-fd", "3"),
            "give either --command-password-file",
        ),
    ],
)
def test_what_is_wrong_with_a_source_is_named(
    qekm: Qekm, password: Path, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    before = os.dup(0)
    os.dup2(nothing, 0)
    try:
        told = qekm("keys", "list", *words)
    finally:
        os.dup2(before, 0)
        os.close(nothing)
        os.close(before)
    assert (told.code, told.out) == (2, "")
    assert said in told.err


def test_somebody_without_a_command_password_is_told_so(qekm: Qekm, home: Path) -> None:
    told = qekm("login")
    assert told.code == 0
    assert told.out.startswith("administrator/administrator has no command password yet")
    assert not kept(home).exists()


def test_a_session_that_is_refused_is_thrown_away(
    qekm: Qekm, service: FakeService, home: Path, password: Path
) -> None:
    qekm("login", "--command-password-file", str(password))
    service.accounts.sessions.clear()  # the service was started again
    assert qekm("keys", "list").code == 8
    assert not kept(home).exists()


@pytest.mark.parametrize(
    "change",
    [
        {"expire_time_us": 1},
        {"address": "elsewhere:1"},
        {"session": "xyz"},
        {"session": 7},
        {"expire_time_us": "soon"},
        None,
        [],
    ],
)
def test_a_session_that_has_ended_or_is_for_another_address_or_damaged_is_not_sent(
    qekm: Qekm, service: FakeService, home: Path, password: Path, change: object
) -> None:
    qekm("login", "--command-password-file", str(password))
    told = json.loads(kept(home).read_text())
    changed = {**told, **change} if isinstance(change, dict) else change
    kept(home).write_text(json.dumps(changed))
    assert qekm("keys", "list").code == 8
    assert service.accounts.session == b""
    kept(home).write_text(json.dumps(told))
    assert qekm("keys", "list").code == 0
    if change == {"expire_time_us": 1}:
        kept(home).write_text(json.dumps(changed))
        qekm("keys", "list")
        assert not kept(home).exists()


def test_a_session_is_of_one_identity(
    qekm: Qekm, home: Path, password: Path, monkeypatch: pytest.MonkeyPatch, service: FakeService
) -> None:
    qekm("login", "--command-password-file", str(password), "--identity", "anna")
    assert (home / "run" / "session-anna").exists()
    assert qekm("keys", "list").code == 8
    monkeypatch.setenv("QEKM_IDENTITY", "anna")
    assert qekm("keys", "list").code == 0
    assert service.connections[-1] == (None, None, "anna")
    monkeypatch.setenv("QEKM_IDENTITY", "../anna")
    assert qekm("keys", "list").code == 2


def test_logout_of_a_service_that_is_away_removes_the_session(
    qekm: Qekm, service: FakeService, home: Path, password: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qekm("login", "--command-password-file", str(password))

    def away(request: object, timeout: float | None = None) -> None:
        raise ServiceAway("nobody answers")

    monkeypatch.setattr(service.accounts, "Logout", away)
    assert qekm("logout").code == 0
    assert not kept(home).exists()


def test_a_terminal_is_asked_once_and_shows_nothing(home: Path) -> None:
    code, screen = typed_to_qekm(["keys", "list"], [RIGHT], WANTED, LOGINS)
    assert code == 0, screen
    assert "Command password of administrator: |" in screen
    assert screen.endswith("[b'correct horse']\n")
    assert screen.count("horse") == 1  # what the fake told
    code, screen = typed_to_qekm(["login"], ["wrong horse"], WANTED)
    assert (code, "is not the command password" in screen) == (2, True)
    code, screen = typed_to_qekm(["login"], ["\x04"], WANTED)
    assert code == 130
    code, screen = typed_to_qekm(["login"], ["\x03"], WANTED)
    assert code == 130
