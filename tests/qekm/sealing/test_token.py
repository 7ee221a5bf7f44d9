"""A token's key opens what it sealed, never leaves the token, and every refusal says what to do."""

from __future__ import annotations

import hmac
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pkcs11 import Attribute, KeyType, ObjectClass, TokenFlag

from qekm.errors import BadConfiguration, BadPassword, QekmError, StoreDamaged, TokenAway
from qekm.sealing import TokenKey, TokenSealer
from qekm.sealing.token import check_tries
from qekm.secret import Secret
from tests.fakes.token import Token, token_in

ROOT = bytes(range(32))


@contextmanager
def _session(token: Token) -> Iterator[Any]:
    """Use the token as another program would."""
    module = pkcs11.lib(token.place.module)
    try:
        found = module.get_token(token_label=token.place.token)
        with found.open(rw=True, user_pin=token.pin) as session:
            yield session
    finally:
        module.finalize()


def _put(
    token: Token, label: str, value: bytes, kind: KeyType = KeyType.GENERIC_SECRET, **more: bool
) -> None:
    """Put a key of a known value into a token."""
    what = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: kind, Attribute.VALUE: value}
    flags = {Attribute[name]: flag for name, flag in more.items()}
    with _session(token) as session:
        session.create_object(what | flags | {Attribute.LABEL: label, Attribute.TOKEN: True})


def test_a_tokens_key_gives_the_root_key_back(token: Token) -> None:
    slot = token.sealer().seal(Secret(ROOT))
    assert token.sealer().unseal(slot).reveal() == ROOT
    assert ROOT not in slot
    assert token.sealer().seal(Secret(ROOT)) != slot


def test_the_key_may_sign_and_nothing_else_and_cannot_leave(token: Token) -> None:
    with _session(token) as session:
        [key] = session.get_objects({Attribute.LABEL: "qekm-root"})
        always = (Attribute.TOKEN, Attribute.PRIVATE, Attribute.SIGN)
        hidden = (Attribute.SENSITIVE, Attribute.ALWAYS_SENSITIVE, Attribute.NEVER_EXTRACTABLE)
        assert all(key[attribute] is True for attribute in always + hidden)
        never = [Attribute.EXTRACTABLE, Attribute.WRAP, Attribute.UNWRAP, Attribute.DERIVE]
        never += [Attribute.ENCRYPT, Attribute.DECRYPT, Attribute.VERIFY]
        assert not any(key[attribute] for attribute in never)
        assert key[Attribute.VALUE_LEN] == 32
        with pytest.raises(pkcs11.AttributeSensitive):
            key[Attribute.VALUE]


def test_a_tokens_slot_is_made_as_the_standards_say(token: Token) -> None:
    """RFC 2104 for the key, SP 800-38D for the seal, with a key whose value this test put there."""
    _put(token, "known", b"K" * 32, SIGN=True)
    values = iter([b"S" * 16, b"N" * 12])
    sealer = TokenSealer(
        TokenKey(token.place.module, "qekm", "known"),
        Secret(token.pin.encode()),
        random_bytes=lambda _: next(values),
    )
    commitment = hmac.digest(ROOT, b"QEKM COMMIT 1", "sha256")
    head = b"QEKMSLT1" + b"pkcs11\0\0\0\0\0\0" + bytes(12) + b"S" * 16 + b"N" * 12 + commitment
    derived = hmac.digest(b"K" * 32, b"QEKM SLOT 1 pkcs11" + b"S" * 16, "sha256")
    body = head + AESGCM(derived).encrypt(b"N" * 12, ROOT, head)
    assert sealer.seal(Secret(ROOT)) == body + sha256(body).digest()


def test_a_key_of_the_same_name_in_another_token_does_not_open(
    token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = token.sealer().seal(Secret(ROOT))
    other = token_in(tmp_path / "others", monkeypatch)
    other.sealer().create()
    with pytest.raises(BadPassword, match="the key qekm-root of the token qekm does not open this store"):
        other.sealer().unseal(slot)


def test_a_key_is_not_made_twice(token: Token) -> None:
    slot = token.sealer().seal(Secret(ROOT))
    with pytest.raises(BadConfiguration, match="has a key qekm-root already"):
        token.sealer().create()
    assert token.sealer().unseal(slot).reveal() == ROOT


@pytest.mark.parametrize(
    ("other", "error", "says"),
    [
        ({"token": "gone"}, TokenAway, "there is no token gone"),
        ({"key": "gone"}, TokenAway, "the token qekm has no key gone"),
        ({"key": "mute"}, TokenAway, "the token qekm has no key mute"),
        ({"key": "aes"}, TokenAway, "the token qekm failed: KeyTypeInconsistent"),
        ({"key": "twin"}, BadConfiguration, "the token qekm has 2 keys twin"),
        ({"module": "/gone.so"}, BadConfiguration, "module /gone.so cannot be loaded"),
        ({"module": "/etc/passwd"}, BadConfiguration, "module /etc/passwd cannot be loaded"),
        ({"module": ""}, BadConfiguration, "no PKCS#11 module is named"),
    ],
    ids=str,
)
def test_what_is_not_there_is_named(
    token: Token, other: dict[str, str], error: type[QekmError], says: str
) -> None:
    for _ in range(2):
        _put(token, "twin", b"K" * 32, SIGN=True)
    _put(token, "mute", b"K" * 32, SIGN=False)
    _put(token, "aes", b"K" * 32, KeyType.AES, SIGN=True)
    slot = token.sealer().seal(Secret(ROOT))
    with pytest.raises(error) as refused:
        token.sealer(**other).unseal(slot)
    assert says in refused.value.message
    assert refused.value.advice or "failed" in says or "twin" in says
    assert token.pin not in refused.value.message + refused.value.advice
    assert token.sealer().unseal(slot).reveal() == ROOT, "nothing of the failure is left behind"


def test_two_tokens_of_one_label_are_told_apart_by_nobody(
    token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token_in(token.directory, monkeypatch)
    with pytest.raises(BadConfiguration, match="several tokens qekm"):
        token.sealer().seal(Secret(ROOT))


def test_a_module_that_does_not_start_is_a_matter_of_its_settings(
    token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = token.sealer().seal(Secret(ROOT))
    with monkeypatch.context() as broken:
        broken.setenv("SOFTHSM2_CONF", "/gone.conf")
        with pytest.raises(BadConfiguration, match="does not start") as refused:
            token.sealer().unseal(slot)
        assert "own settings" in refused.value.advice
    assert token.sealer().unseal(slot).reveal() == ROOT


def test_a_wrong_pin_is_said_to_be_wrong_once_and_no_other_slot_is_tried(token: Token) -> None:
    """BadPassword is a slot of another key, after which a caller goes on to the next, and to the next try."""
    slot = token.sealer().seal(Secret(ROOT))
    for pin in (b"wrong", b"1"):
        with pytest.raises(BadConfiguration, match="refuses the PIN") as refused:
            TokenSealer(token.place, Secret(pin)).unseal(slot)
        assert refused.value.details == {"token": "qekm"}
        assert "pinFile" in refused.value.advice
    assert token.sealer().unseal(slot).reveal() == ROOT


@pytest.mark.parametrize("pin", [b"", b"\xff\xfe"])
def test_a_pin_that_can_only_be_wrong_does_not_reach_the_token(pin: bytes) -> None:
    with pytest.raises(BadConfiguration, match="PIN") as refused:
        TokenSealer(TokenKey("/gone.so"), Secret(pin))
    assert "pinFile" in refused.value.advice


@pytest.mark.parametrize("flag", [TokenFlag.USER_PIN_FINAL_TRY, TokenFlag.USER_PIN_LOCKED])
def test_the_last_try_of_a_pin_is_left_to_a_person(flag: TokenFlag) -> None:
    with pytest.raises(BadConfiguration, match="locked"):
        check_tries("qekm", TokenFlag.LOGIN_REQUIRED | flag)
    check_tries("qekm", TokenFlag.LOGIN_REQUIRED | TokenFlag.USER_PIN_COUNT_LOW)


def test_a_damaged_slot_does_not_reach_the_token(token: Token) -> None:
    slot = bytearray(token.sealer().seal(Secret(ROOT)))
    slot[40] ^= 1
    with pytest.raises(StoreDamaged):
        token.sealer(module="/gone.so").unseal(bytes(slot))


def test_a_token_that_went_away_opens_again_when_it_is_back(token: Token) -> None:
    sealer = token.sealer()
    slot = sealer.seal(Secret(ROOT))
    away = token.directory.with_name("away")
    token.directory.rename(away)
    token.directory.mkdir()
    with pytest.raises(TokenAway):
        sealer.unseal(slot)
    token.directory.rmdir()
    away.rename(token.directory)
    assert sealer.unseal(slot).reveal() == ROOT


def test_threads_take_turns_because_a_login_is_the_whole_processs(token: Token) -> None:
    slot = token.sealer().seal(Secret(ROOT))
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: token.sealer().unseal(slot).reveal(), range(40)))
    assert opened == [ROOT] * 40


def test_the_turns_are_needed(token: Token) -> None:
    """Negative control of the test before: two logins at once are what the module refuses."""
    with _session(token), pytest.raises(pkcs11.UserAlreadyLoggedIn):
        pkcs11.lib(token.place.module).get_token(token_label="qekm").open(user_pin=token.pin)


def test_a_sealer_shows_nothing_of_the_pin(token: Token) -> None:
    assert token.pin not in repr(token.sealer()) + str(vars(token.sealer()))


def test_the_library_is_loaded_by_those_who_have_a_token_only() -> None:
    program = "import qekm.unlocking, sys; sys.exit('pkcs11' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
