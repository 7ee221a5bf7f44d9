"""What only the holder of a wrapping key can open."""

from __future__ import annotations

import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import PeerRefused
from qekm.model import Slot
from qekm.secret import Secret
from qekm.welcome import Wrapping, public

ESTATE, NAME = bytes(range(16)), "ekm2"
ROOT = bytes(range(100, 132))
SLOTS = [
    Slot("password", bytes(range(120)), "password", 1_800_000_000_000_000),
    Slot("shares.2", b"\0" * 300, "shares", 0),
]
# RFC 7748, section 6.1: one party's private key, the other's public key, and what both make.
BOB = bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
ALICE_PUBLIC = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
SHARED = bytes.fromhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")

OURS, THEIRS = X25519PrivateKey.generate(), X25519PrivateKey.generate()
WRAPPING = Wrapping(ESTATE, NAME)
WRAPPED = WRAPPING.wrap(Secret(ROOT), SLOTS, OURS, public(THEIRS))


def test_the_one_whom_it_is_for_gets_root_key_and_slots() -> None:
    root, slots = WRAPPING.unwrap(WRAPPED, THEIRS, public(OURS))
    assert (root.reveal(), slots) == (ROOT, SLOTS)
    assert ROOT not in WRAPPED


def test_a_server_without_other_slots_gets_the_root_key_alone() -> None:
    wrapped = WRAPPING.wrap(Secret(ROOT), (), OURS, public(THEIRS))
    root, slots = WRAPPING.unwrap(wrapped, THEIRS, public(OURS))
    assert (root.reveal(), slots) == (ROOT, [])


def test_the_box_is_what_the_standards_say() -> None:
    own = X25519PrivateKey.from_private_bytes(BOB)
    wrapped = WRAPPING.wrap(Secret(ROOT), (), own, ALICE_PUBLIC)
    info = b"QEKM WELCOME 1" + public(own) + ALICE_PUBLIC + NAME.encode()
    extracted = hmac.digest(ESTATE, SHARED, "sha256")  # RFC 5869, by hand
    key = hmac.digest(extracted, info + b"\1", "sha256")
    assert AESGCM(key).decrypt(bytes(12), wrapped, None) == ROOT


@pytest.mark.parametrize(
    ("wrapping", "own", "other"),
    [
        (WRAPPING, X25519PrivateKey.generate(), OURS),
        (WRAPPING, THEIRS, X25519PrivateKey.generate()),
        (WRAPPING, OURS, THEIRS),  # back at whom it is from
        (Wrapping(ESTATE, "ekm3"), THEIRS, OURS),
        (Wrapping(bytes(16), NAME), THEIRS, OURS),
    ],
    ids=["another key", "another sender", "returned", "another name", "another estate"],
)
def test_nobody_else_opens_it(wrapping: Wrapping, own: X25519PrivateKey, other: X25519PrivateKey) -> None:
    with pytest.raises(PeerRefused):
        wrapping.unwrap(WRAPPED, own, public(other))


@given(st.integers(0, len(WRAPPED) * 8 - 1))
def test_one_altered_bit_is_refused(bit: int) -> None:
    altered = bytearray(WRAPPED)
    altered[bit // 8] ^= 1 << bit % 8
    with pytest.raises(PeerRefused):
        WRAPPING.unwrap(bytes(altered), THEIRS, public(OURS))


@given(st.binary(max_size=64))
def test_what_is_no_welcome_is_refused(junk: bytes) -> None:
    with pytest.raises(PeerRefused):
        WRAPPING.unwrap(junk, THEIRS, public(OURS))


@pytest.mark.parametrize("key", [b"", bytes(31), bytes(32), b"\1" + bytes(31)], ids=len)
def test_a_wrapping_key_that_makes_no_secret_is_refused(key: bytes) -> None:
    with pytest.raises(PeerRefused):
        WRAPPING.wrap(Secret(ROOT), (), OURS, key)
