"""Sealing opens for whom it was sealed and for nobody else, whatever is changed."""

from __future__ import annotations

import hashlib
import hmac
import os
import pickle
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unicodedata import normalize

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

import qekm
from qekm.errors import BadConfiguration, BadPassword, QekmError, StoreDamaged
from qekm.model import Key, KeyState, Vault
from qekm.sealing import COST, Cost, KeyFileSealer, KeyRing, PasswordSealer, Sealer, check_password
from qekm.secret import Secret

CHEAP = Cost(64, 1, 1)
ROOT = bytes(range(32))
ESTATE = b"an estate's id.."
SALT, NONCE = b"S" * 16, b"N" * 12


def _given(*values: bytes) -> Callable[[int], bytes]:
    """Return a source of randomness that gives these values, of the lengths that are asked for."""
    left = list(values)

    def random_bytes(length: int) -> bytes:
        value = left.pop(0)
        assert len(value) == length
        return value

    return random_bytes


def _password(text: str, cost: Cost = CHEAP) -> PasswordSealer:
    return PasswordSealer(Secret(text.encode()), cost=cost)


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "root.key"
    KeyFileSealer(path).create()
    return path


@pytest.fixture(params=["key-file", "password"])
def sealer(request: pytest.FixtureRequest, key_file: Path) -> Sealer:
    return KeyFileSealer(key_file) if request.param == "key-file" else _password("correct horse")


# Slots.


def test_a_slot_gives_the_root_key_back(sealer: Sealer) -> None:
    slot = sealer.seal(Secret(ROOT))
    assert sealer.unseal(slot).reveal() == ROOT
    assert ROOT not in slot
    assert sealer.seal(Secret(ROOT)) != slot


def test_every_flipped_bit_of_a_slot_is_damage_and_no_wrong_password(sealer: Sealer) -> None:
    slot = sealer.seal(Secret(ROOT))
    for bit in range(8 * len(slot)):
        flipped = bytearray(slot)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StoreDamaged):
            sealer.unseal(bytes(flipped))


def test_a_slot_cut_short_or_drawn_out_is_damaged(sealer: Sealer) -> None:
    slot = sealer.seal(Secret(ROOT))
    for wrong in (b"", slot[:31], slot[:-1], slot + b"\0", slot * 2):
        with pytest.raises(StoreDamaged):
            sealer.unseal(wrong)


def test_a_tampered_slot_with_a_new_digest_does_not_open(sealer: Sealer) -> None:
    slot = sealer.seal(Secret(ROOT))
    for place in range(len(slot) - 32):
        body = bytearray(slot[:-32])
        body[place] ^= 0x01
        with pytest.raises(QekmError):
            sealer.unseal(bytes(body) + hashlib.sha256(body).digest())


def test_the_wrong_password_or_file_is_said_to_be_wrong(tmp_path: Path, key_file: Path) -> None:
    other = KeyFileSealer(tmp_path / "other.key")
    other.create()
    with pytest.raises(BadPassword):
        other.unseal(KeyFileSealer(key_file).seal(Secret(ROOT)))
    with pytest.raises(BadPassword):
        _password("correct horsf").unseal(_password("correct horse").seal(Secret(ROOT)))


def test_a_slot_of_another_kind_is_refused(key_file: Path) -> None:
    with pytest.raises(StoreDamaged):
        _password("correct horse").unseal(KeyFileSealer(key_file).seal(Secret(ROOT)))


def test_a_password_slot_is_made_as_the_standards_say() -> None:
    """RFC 9106 for the key, SP 800-38D for the seal, over a header that is written down here."""
    slot = PasswordSealer(Secret(b"pass word"), cost=CHEAP, random_bytes=_given(SALT, NONCE)).seal(
        Secret(ROOT)
    )
    commitment = hmac.digest(ROOT, b"QEKM COMMIT 1", "sha256")
    cost = b"\0\0\0\x40\0\0\0\1\0\0\0\1"
    head = b"QEKMSLT1" + b"password\0\0\0\0" + cost + SALT + NONCE + commitment
    derived = Argon2id(salt=SALT, length=32, iterations=1, lanes=1, memory_cost=64).derive(b"pass word")
    body = head + AESGCM(derived).encrypt(NONCE, ROOT, head)
    assert slot == body + hashlib.sha256(body).digest()


def test_a_slot_that_opens_to_another_root_than_it_names_is_refused() -> None:
    head = b"QEKMSLT1" + b"password\0\0\0\0" + b"\0\0\0\x40\0\0\0\1\0\0\0\1" + SALT + NONCE + bytes(32)
    derived = Argon2id(salt=SALT, length=32, iterations=1, lanes=1, memory_cost=64).derive(b"pass word")
    body = head + AESGCM(derived).encrypt(NONCE, ROOT, head)
    with pytest.raises(StoreDamaged, match="names"):
        _password("pass word").unseal(body + hashlib.sha256(body).digest())


def test_the_work_factor_is_64_mebibytes_and_three_passes() -> None:
    assert Cost(64 * 1024, 3, 1) == COST
    slot = PasswordSealer(Secret(b"correct horse")).seal(Secret(ROOT))
    assert slot[20:32] == b"\0\1\0\0\0\0\0\3\0\0\0\1"
    assert PasswordSealer(Secret(b"correct horse")).unseal(slot).reveal() == ROOT


@pytest.mark.parametrize("cost", [Cost(65535, 3, 1), Cost(65536, 2, 1), CHEAP, Cost(2**31, 3, 1)])
def test_a_slot_with_a_lower_or_absurd_work_factor_is_refused_before_it_costs_anything(cost: Cost) -> None:
    slot = bytearray(_password("correct horse").seal(Secret(ROOT))[:-32])
    slot[20:32] = b"".join(part.to_bytes(4, "big") for part in (cost.memory_kib, cost.iterations, cost.lanes))
    with pytest.raises(StoreDamaged, match="work factor"):
        PasswordSealer(Secret(b"correct horse")).unseal(bytes(slot) + hashlib.sha256(slot).digest())


def test_no_program_of_the_package_names_a_cost() -> None:
    for folder in (
        Path(qekm.__file__).parent,
        *(Path(qekm.__file__).parents[1] / name for name in ("cli", "gateway")),
    ):
        for source in folder.rglob("*.py"):
            if source.parent.name != "sealing":
                assert not re.search(r"PasswordSealer\([^)]*cost|\bCost\(", source.read_text()), source


@pytest.mark.parametrize("length", [8, 9, 24, 25, 1024])
def test_passwords_of_8_to_1024_characters_open(length: int) -> None:
    text = ("é€𝄞x" * 256)[:length]
    assert _password(text).unseal(_password(text).seal(Secret(ROOT))).reveal() == ROOT


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"1234567",
        "éééééé€".encode(),
        b"x" * 1025,
        "€".encode() * 1025,
        b"changeME",
        b"CHANGEME",
        b"\xff" * 8,
    ],
)
def test_other_passwords_may_not_be_set(value: bytes) -> None:
    with pytest.raises(BadPassword):
        check_password(Secret(value))
    with pytest.raises(BadPassword):
        PasswordSealer(Secret(value), cost=CHEAP).seal(Secret(ROOT))


def test_a_password_is_the_same_however_its_accents_are_typed() -> None:
    slot = _password(normalize("NFC", "Schlüssel für Bänder")).seal(Secret(ROOT))
    assert _password(normalize("NFD", "Schlüssel für Bänder")).unseal(slot).reveal() == ROOT


def test_a_key_file_is_private_and_not_made_twice(key_file: Path) -> None:
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert len(key_file.read_bytes()) == 32
    with pytest.raises(BadConfiguration):
        KeyFileSealer(key_file).create()


def _open_to_all(path: Path) -> None:
    path.chmod(0o644)


def _to_link(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to("real")


def _to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def _to_directory(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o700)


def _longer(path: Path) -> None:
    path.write_bytes(bytes(33))


def _shorter(path: Path) -> None:
    path.write_bytes(bytes(31))


@pytest.mark.parametrize(
    "harm", [Path.unlink, _open_to_all, _to_link, _to_pipe, _to_directory, _longer, _shorter]
)
def test_a_key_file_that_is_none_is_refused_with_a_hint(key_file: Path, harm: Callable[[Path], None]) -> None:
    slot = KeyFileSealer(key_file).seal(Secret(ROOT))
    harm(key_file)
    with pytest.raises(BadConfiguration, match=re.escape(str(key_file))) as refused:
        KeyFileSealer(key_file).unseal(slot)
    assert refused.value.advice


# What the root key keeps.

MATERIAL = Secret(b"M" * 32)


def _ring(root: bytes = ROOT, estate: bytes = ESTATE) -> KeyRing:
    return KeyRing(Secret(root), estate)


def _key() -> Key:
    ring = _ring()
    sealed = ring.seal_key(MATERIAL, b"k" * 16, "QKM000000000000000001", 41, 3)
    check = ring.check_value(MATERIAL)
    return Key(b"k" * 16, "QKM000000000000000001", b"d" * 12, 41, 1, 3, sealed, check, "g", KeyState.READY)


def test_a_key_is_opened_by_the_ring_that_sealed_it() -> None:
    assert _ring().open_key(_key()).reveal() == MATERIAL.reveal()
    assert _key().sealed != _key().sealed, "a nonce of its own each time"
    assert MATERIAL.reveal() not in _key().sealed


@pytest.mark.parametrize(
    "changed",
    [
        {"alias": "QKM000000000000000002"},
        {"key_id": b"K" * 16},
        {"created_seq": 42},
        {"epoch": 4},
        {"check_value": b"\0\0\0\0"},
        {"sealed": b""},
        {"sealed": b"\1\0\1" + bytes(12)},
    ],
    ids=str,
)
def test_a_key_whose_identity_was_changed_does_not_verify(changed: dict[str, object]) -> None:
    with pytest.raises(StoreDamaged) as refused:
        _ring().open_key(replace(_key(), **changed))  # type: ignore[arg-type]
    assert refused.value.details["alias"]


@pytest.mark.parametrize(
    "ring", [_ring(root=bytes(32)), _ring(estate=b"another estate..")], ids=["root", "estate"]
)
def test_another_root_or_estate_opens_nothing(ring: KeyRing) -> None:
    with pytest.raises(StoreDamaged):
        ring.open_key(_key())
    with pytest.raises(StoreDamaged):
        ring.open_vault(Vault("eak", _ring().seal_vault("eak", b"secret"), b""))
    assert ring.check_value(MATERIAL) != _ring().check_value(MATERIAL)


def test_every_flipped_bit_of_a_sealed_key_is_seen() -> None:
    key, ring = _key(), _ring()
    for bit in range(8 * len(key.sealed)):
        flipped = bytearray(key.sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StoreDamaged):
            ring.open_key(replace(key, sealed=bytes(flipped)))


def test_what_may_change_in_a_keys_life_does_not_bind_it() -> None:
    later = replace(_key(), state=KeyState.ACTIVE, version=9, group="other", volser="V", mount_id=b"m" * 16)
    assert _ring().open_key(later).reveal() == MATERIAL.reveal()


def test_a_sealed_key_is_made_as_the_standards_say() -> None:
    """RFC 5869 for both derivations, SP 800-38D for the seal, over data that is written down here."""

    def expand(key: bytes, info: bytes) -> bytes:
        return hmac.digest(key, info + b"\1", "sha256")

    def field(value: bytes) -> bytes:
        return len(value).to_bytes(4, "big") + value

    record_key = expand(hmac.digest(ESTATE, ROOT, "sha256"), b"QEKM RECORD KEY 1")
    head = b"\1" + b"\0\1" + NONCE
    fields = (
        ESTATE,
        b"QEKM KEY 1",
        b"ALIA",
        b"k" * 16,
        b"AES-256",
        (41).to_bytes(8, "big"),
        (3).to_bytes(8, "big"),
    )
    seal = AESGCM(expand(record_key, b"k" * 16)).encrypt(
        NONCE, b"M" * 32, head + b"".join(map(field, fields))
    )
    ring = KeyRing(Secret(ROOT), ESTATE, random_bytes=_given(NONCE))
    assert ring.seal_key(MATERIAL, b"k" * 16, "ALIA", 41, 3) == head + seal


def test_a_check_value_tells_keys_apart_and_is_the_same_every_time() -> None:
    values = {_ring().check_value(Secret(bytes([number]) * 32)) for number in range(200)}
    assert len(values) == 200
    assert {len(value) for value in values} == {4}
    assert _ring().check_value(MATERIAL) == _ring().check_value(MATERIAL)


@pytest.mark.parametrize("secret", [b"", b"x", b"P" * 5000])
def test_a_vault_opens_under_its_own_name_only(secret: bytes) -> None:
    sealed = _ring().seal_vault("eak", secret)
    assert _ring().open_vault(Vault("eak", sealed, b"")).reveal() == secret
    for other in (Vault("audit", sealed, b""), Vault("eak", sealed[:-1], b""), Vault("eak", b"", b"")):
        with pytest.raises(StoreDamaged):
            _ring().open_vault(other)


def test_a_key_put_where_a_vault_was_does_not_open() -> None:
    with pytest.raises(StoreDamaged):
        _ring().open_vault(Vault("k" * 16, _key().sealed, b""))


def test_a_ring_shows_nothing_of_what_it_holds() -> None:
    ring, shown = _ring(), repr(_ring()) + str(_ring())
    assert "QEKM" not in shown
    with pytest.raises(TypeError):
        pickle.dumps(ring)
    for text in (shown, repr(_password("correct horse")), repr(MATERIAL)):
        assert "M" * 4 not in text
        assert "horse" not in text
