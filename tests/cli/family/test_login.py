"""login, as the original's command line client spells it."""

from pathlib import Path

import pytest

from tests.cli.conftest import Qekm
from tests.cli.fake_service import FakeService
from tests.cli.fake_service.accounts import ADMINISTRATOR


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service: FakeService) -> Path:
    monkeypatch.setenv("QEKM_HOME", str(tmp_path))
    service.accounts.passwords[ADMINISTRATOR] = b"correct horse"
    (tmp_path / "password").write_text("correct horse\n")
    return tmp_path


@pytest.mark.parametrize("user", ["EKMAdmin", "ekmadmin", "administrator"])
def test_the_original_s_user_is_our_administrator(qekm: Qekm, home: Path, user: str) -> None:
    told = qekm("login", "-ekmuser", user, "--command-password-file", str(home / "password"))
    assert told.out.startswith("administrator/administrator is logged in until ")
    assert [each.name for each in (home / "run").iterdir()] == ["session-administrator"]


def test_another_user_is_another_certificate(qekm: Qekm, service: FakeService, home: Path) -> None:
    qekm("login", "-ekmuser", "alice", "--command-password-file", str(home / "password"))
    assert service.connections[-1][2] == "alice"
    assert qekm("login", "-ekmuser", "../alice").code == 2


def test_a_password_on_the_command_line_is_refused_with_the_reason(
    qekm: Qekm, service: FakeService, home: Path
) -> None:
    told = qekm("login", "-ekmuser", "EKMAdmin", "-ekmpassword", "correct horse")
    assert (told.code, told.out) == (2, "")
    assert "others see a password on a command line" in told.err
    assert "--command-password-file" in told.err
    assert "correct horse" not in told.err
    assert (service.accounts.logins, service.connections) == ([], [])
    assert not (home / "run").exists()
