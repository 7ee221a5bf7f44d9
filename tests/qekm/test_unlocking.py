"""The settings and the command line say together what opens a store, or what to give instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from qekm.configuration.settings import Settings
from qekm.errors import BadConfiguration, BadPassword, QekmError, TokenAway
from qekm.home import Home
from qekm.sealing import KeyFileSealer, PasswordSealer, Sealer
from qekm.secret import Secret
from qekm.unlocking import Means, sealer_of
from tests.fakes.token import Token, token_in

ROOT = bytes(range(32))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home with a key file, beside a directory of credentials with another."""
    for directory in ("home", "credentials"):
        (tmp_path / directory).mkdir()
        KeyFileSealer(tmp_path / directory / "root.key").create()
    (tmp_path / "password").write_text("correct horse\n")
    return Home(tmp_path / "home")


@pytest.fixture
def credentials(home: Home) -> Path:
    """Return the directory of credentials."""
    return home.path.with_name("credentials")


def _sealer(
    home: Home, properties: dict[str, str], means: Means | None = None, passed: Path | None = None
) -> Sealer:
    environ = {"CREDENTIALS_DIRECTORY": str(passed)} if passed else {}
    values = {f"keystore.{name}": value for name, value in properties.items()}
    return sealer_of(home, Settings(values, {}), means or Means(), environ)


def _opens(sealer: Sealer, slot: bytes) -> bool:
    return sealer.unseal(slot).reveal() == ROOT


def test_the_default_is_the_key_file_of_the_home(home: Home) -> None:
    assert _opens(_sealer(home, {}), KeyFileSealer(home.root_key).seal(Secret(ROOT)))


def test_the_command_line_names_another_key_file(home: Home, credentials: Path) -> None:
    other = credentials / "root.key"
    assert _opens(_sealer(home, {}, Means(other)), KeyFileSealer(other).seal(Secret(ROOT)))


def test_a_key_file_can_be_a_credential(home: Home, credentials: Path) -> None:
    path = credentials / "root.key"
    slot = KeyFileSealer(path).seal(Secret(ROOT))
    path.chmod(0o440)  # as an ACL shows
    assert _opens(_sealer(home, {"keyFile": "credential:root.key"}, passed=credentials), slot)
    with pytest.raises(BadConfiguration, match="read by others"):
        _opens(_sealer(home, {"keyFile": str(path)}), slot)


@pytest.mark.parametrize("name", ["", ".", "..", "../home/root.key", "/etc/passwd", "a/b"])
def test_a_credential_is_a_plain_name(home: Home, credentials: Path, name: str) -> None:
    with pytest.raises(BadConfiguration, match="names no credential"):
        _sealer(home, {"keyFile": f"credential:{name}"}, passed=credentials)


def test_a_credential_that_systemd_did_not_pass_is_said_how_to_pass(home: Home, credentials: Path) -> None:
    with pytest.raises(BadConfiguration, match="no credentials") as refused:
        _sealer(home, {"keyFile": "credential:root.key"})
    assert "LoadCredential=root.key:" in refused.value.advice
    with pytest.raises(BadConfiguration, match="cannot be read"):
        _sealer(home, {"keyFile": "credential:gone"}, passed=credentials).unseal(b"")


def test_a_password_opens_a_store_that_says_so(home: Home, tmp_path: Path) -> None:
    sealer = _sealer(home, {"slot": "password"}, Means(password_file=tmp_path / "password"))
    assert _opens(sealer, PasswordSealer(Secret(b"correct horse")).seal(Secret(ROOT)))


@pytest.mark.parametrize(
    ("slot", "means", "error", "says"),
    [
        ("password", Means(), BadPassword, "none was given"),
        ("key-file", Means(password_fd=0), BadConfiguration, "by a key file (keystore.slot), not by a pass"),
        (
            "pkcs11",
            Means(password_fd=0),
            BadConfiguration,
            "by a PKCS#11 token (keystore.slot), not by a pass",
        ),
        ("pkcs11", Means(Path("root.key")), BadConfiguration, "not by a key file"),
        ("pkcs11", Means(), BadConfiguration, "the PIN file"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_settings_is_refused(
    home: Home, slot: str, means: Means, error: type[QekmError], says: str
) -> None:
    with pytest.raises(error) as refused:
        _sealer(home, {"slot": slot}, means)
    assert says in refused.value.message


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Token:
    """Return a token with a key."""
    made = token_in(tmp_path / "tokens", monkeypatch)
    made.sealer().create()
    return made


def _write_pin(path: Path, pin: str) -> None:
    path.touch(0o600)
    path.write_text(pin)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_token_opens_with_the_pin_of_a_file(home: Home, token: Token, end: str) -> None:
    _write_pin(home.path / "token.pin", token.pin + end)
    sealer = _sealer(home, {"slot": "pkcs11", "pkcs11.module": token.place.module})
    assert _opens(sealer, token.sealer().seal(Secret(ROOT)))


def test_a_token_opens_with_the_pin_of_a_credential(home: Home, token: Token, credentials: Path) -> None:
    _write_pin(credentials / "pin", token.pin)
    token.sealer(key="other").create()
    settings = {"slot": "pkcs11", "pkcs11.module": token.place.module, "pkcs11.pinFile": "credential:pin"}
    sealer = _sealer(home, settings | {"pkcs11.key": "other"}, passed=credentials)
    assert _opens(sealer, token.sealer(key="other").seal(Secret(ROOT)))
    with pytest.raises(TokenAway, match="no token gone"):
        _sealer(home, settings | {"pkcs11.token": "gone"}, passed=credentials).seal(Secret(ROOT))


def test_a_pin_that_others_can_read_is_not_used(home: Home, token: Token) -> None:
    _write_pin(home.path / "token.pin", token.pin)
    (home.path / "token.pin").chmod(0o640)
    with pytest.raises(BadConfiguration, match="read by others"):
        _sealer(home, {"slot": "pkcs11", "pkcs11.module": token.place.module})


def test_a_file_that_holds_no_pin_is_not_tried(home: Home) -> None:
    _write_pin(home.path / "token.pin", "1" * 5000)
    with pytest.raises(BadConfiguration, match="has more than"):
        _sealer(home, {"slot": "pkcs11", "pkcs11.module": "/gone.so"})
    _write_pin(home.path / "token.pin", "\n")
    with pytest.raises(BadConfiguration, match="PIN is empty"):
        _sealer(home, {"slot": "pkcs11", "pkcs11.module": "/gone.so"})


def test_a_token_without_a_module_is_said_where_to_name_it(home: Home) -> None:
    _write_pin(home.path / "token.pin", "1234")
    with pytest.raises(BadConfiguration) as refused:
        _sealer(home, {"slot": "pkcs11"})
    assert "keystore.pkcs11.module" in refused.value.advice
