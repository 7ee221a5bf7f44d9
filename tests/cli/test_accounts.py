"""`qekm accounts` against a service in memory."""

from pathlib import Path

import pytest

from qekm.errors import ApprovalNeeded
from qekm.v1 import certificates_pb2 as pb

from .conftest import Qekm
from .fake_service import FakeService
from .fake_service.accounts import ADMINISTRATOR
from .terminal import typed_to_qekm

OLGA = (pb.ROLE_OPERATOR, "olga")
ANNA = (pb.ROLE_AUDITOR, "anna")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home that the environment names."""
    monkeypatch.setenv("QEKM_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def new(tmp_path: Path) -> str:
    """Give a file with a new password."""
    (tmp_path / "new").write_text("new horse here\n")
    return str(tmp_path / "new")


def test_list_shows_who_has_one_and_who_is_locked(qekm: Qekm, service: FakeService) -> None:
    service.accounts.passwords |= {OLGA: b"x", ANNA: b"y"}
    service.accounts.locked.add(OLGA)
    told = qekm("accounts", "list")
    assert told.lines[0].split() == ["NAME", "ROLE", "PASSWORD", "SET", "LOCKED", "UNTIL"]
    assert [line.split() for line in told.lines[1:]] == [
        ["olga", "operator", "2027-01-15T08:00:00Z", "2027-01-15T08:15:00Z"],
        ["anna", "auditor", "2027-01-15T08:00:00Z", "-"],
    ]
    assert [row["name"] for row in qekm("accounts", "list", "--json").document["accounts"]] == [
        "olga",
        "anna",
    ]


def test_add_says_whether_the_certificate_is_there_and_how_it_is_issued(
    qekm: Qekm, service: FakeService, new: str
) -> None:
    told = qekm("accounts", "add", "olga", "--role", "operator", "--new-password-file", new)
    assert (told.code, told.out) == (0, "operator/olga has a command password now\n")
    assert told.err == (
        "qekm: operator/olga has no certificate in force yet; "
        "issue one with: qekm certificates issue operator olga --client-home DIR\n"
    )
    assert service.accounts.passwords[OLGA] == b"new horse here"
    told = qekm("accounts", "add", "person2", "--role", "operator", "--new-password-file", new)
    assert (told.code, told.err) == (0, "")
    for revoked_or_expired in ("person1", "person3"):
        told = qekm("accounts", "add", revoked_or_expired, "--role", "operator", "--new-password-file", new)
        assert "no certificate in force" in told.err
    document = qekm(
        "accounts", "add", "person2", "--role", "auditor", "--new-password-file", new, "--json"
    ).document
    assert (document["role"], document["certificate"]) == ("auditor", False)


def test_passwd_proves_by_the_old_password_and_ends_the_session(
    qekm: Qekm, service: FakeService, home: Path, new: str
) -> None:
    told = qekm("accounts", "passwd", "--new-password-file", new)  # a first one
    assert (told.code, told.out) == (0, "the command password of administrator is changed\n")
    assert service.accounts.passwords[ADMINISTRATOR] == b"new horse here"
    (home / "old").write_text("new horse here\n")
    Path(new).write_text("newer horse here\n")
    old = ("--command-password-file", str(home / "old"))
    qekm("login", *old)
    assert qekm("accounts", "passwd", "--new-password-file", new, *old).code == 0
    assert service.accounts.passwords[ADMINISTRATOR] == b"newer horse here"
    assert not (home / "run" / "session-administrator").exists()
    told = qekm("accounts", "passwd", "--new-password-file", new, *old)
    assert (told.code, service.accounts.logins) == (2, [b"new horse here"])
    assert qekm("accounts", "passwd", "--new-password-file", new).code == 8


def test_reset_unlock_and_remove_find_the_role_of_a_name(qekm: Qekm, service: FakeService, new: str) -> None:
    service.accounts.passwords |= {OLGA: b"x", ANNA: b"y", (pb.ROLE_AUDITOR, "olga"): b"z"}
    service.accounts.locked.add(ANNA)
    assert qekm("accounts", "unlock", "anna").out == "auditor/anna may try its password once more\n"
    assert not service.accounts.locked
    told = qekm("accounts", "reset", "olga", "--new-password-file", new)
    assert (told.code, "operator and auditor: say which with --role" in told.err) == (2, True)
    told = qekm("accounts", "reset", "olga", "--role", "operator", "--new-password-file", new)
    assert told.out == "operator/olga has a new command password\n"
    assert service.accounts.passwords[OLGA] == b"new horse here"
    assert qekm("accounts", "remove", "anna").out == "auditor/anna has no command password any more\n"
    assert ANNA not in service.accounts.passwords
    for words in (("remove", "anna"), ("unlock", "nobody"), ("remove", "olga", "--role", "custodian")):
        told = qekm("accounts", *words)
        assert told.code == 3
        assert "has no command password\nqekm: hint: list the accounts with: qekm accounts list" in told.err


def test_what_needs_a_second_person_says_who_approves_it(qekm: Qekm, service: FakeService) -> None:
    service.accounts.passwords[OLGA] = b"x"
    service.accounts.refusal = ApprovalNeeded(
        "a second person must approve this", hint="qekm approvals approve 1"
    )
    told = qekm("accounts", "remove", "olga")
    assert (told.code, "qekm approvals approve 1" in told.err) == (6, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "olga"), "missing option '--role'"),
        (("add", "olga", "--role", "gateway"), "'gateway' is not one of"),
        (("add", "--role", "operator"), "missing argument 'NAME'"),
    ],
)
def test_what_is_wrong_is_named(qekm: Qekm, words: tuple[str, ...], said: str) -> None:
    told = qekm("accounts", *words)
    assert (told.code, said in told.err) == (2, True), told.err


def test_on_a_terminal_one_s_own_password_comes_first_and_a_new_one_is_typed_twice(home: Path) -> None:
    wanted = "service.accounts.passwords[(1, 'administrator')] = b'correct horse'"
    after = "print(service.accounts.passwords.get((2, 'olga')))"
    lines = ["correct horse", "olgas horse", "olgas horse"]
    words = ["accounts", "add", "olga", "--role", "operator"]
    code, screen = typed_to_qekm(words, lines, wanted, after)
    assert code == 0, screen
    prompts = [line.partition(":")[0] for line in screen.splitlines() if "|" in line]
    assert prompts == [
        "Command password of administrator",
        "New command password of operator/olga",
        "The same again",
    ]
    assert screen.endswith("b'olgas horse'\n")
    code, screen = typed_to_qekm(words, [*lines[:2], "other horse"], wanted, after)
    assert (code, "the two passwords differ" in screen, screen.endswith("None\n")) == (2, True, True)
