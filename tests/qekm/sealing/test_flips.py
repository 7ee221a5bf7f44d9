"""Whatever bit of a slot is changed, by whatever sealer it was made: it opens to no other root."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

import pytest

from qekm.errors import BadPassword, QekmError, StoreDamaged
from qekm.sealing import Cost, KeySealer, PasswordSealer, Sealer, SharesSealer, split
from qekm.secret import Secret
from tests.fakes.token import Token

ROOT = bytes(range(32))


@pytest.fixture(params=["key-file", "password", "shares", "pkcs11"])
def sealer(request: pytest.FixtureRequest) -> Sealer:
    """Return a sealer of each kind; the password's work factor is lowered."""
    if request.param == "pkcs11":
        token: Token = request.getfixturevalue("token")
        return token.sealer()
    made: dict[str, Callable[[], Sealer]] = {
        "key-file": lambda: KeySealer(Secret(b"K" * 32)),
        "password": lambda: PasswordSealer(Secret(b"correct horse"), cost=Cost(64, 1, 1)),
        "shares": lambda: SharesSealer(split()),
    }
    return made[request.param]()


def _flipped(slot: bytes, bit: int) -> bytes:
    changed = bytearray(slot)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _digested(slot: bytes) -> bytes:
    """Return the slot with a digest that fits: what an attacker writes, not what a disk does."""
    return slot[:-32] + hashlib.sha256(slot[:-32]).digest()


def attack(sealer: Sealer, slot: bytes, bits: Iterable[int]) -> set[type[QekmError]]:
    """Flip each of these bits, with the old digest and a new one; return what was raised. Opening fails."""
    raised = set()
    for bit in bits:
        flipped = _flipped(slot, bit)
        for changed in {flipped, _digested(flipped)} - {slot}:
            try:
                root = sealer.unseal(changed)
            except QekmError as error:
                raised.add(type(error))
            else:
                raise AssertionError(f"bit {bit} of the slot may be flipped: {root.reveal() == ROOT}")
    return raised


def test_no_flipped_bit_opens_a_slot(sealer: Sealer) -> None:
    slot = sealer.seal(Secret(ROOT))
    bits = [*range(8 * len(slot))]
    if sealer.kind == "pkcs11":
        bits = bits[::5]
    if sealer.kind == "password":  # not the work factor: up to 4 GiB, and test_sealing.py has its limits
        bits = [bit for bit in bits if not 160 <= bit < 256]
    assert attack(sealer, slot, bits) == {StoreDamaged, BadPassword}


class _Careless:
    """A sealer without a tag: what is left of the slot is xored with its key."""

    kind = "careless"

    def seal(self, root: Secret) -> bytes:
        return _digested(b"K" * 32 + bytes(a ^ b for a, b in zip(b"K" * 32, root.reveal(), strict=True)) * 2)

    def unseal(self, slot: bytes) -> Secret:
        if _digested(slot) != slot:
            raise StoreDamaged("damaged")
        return Secret(bytes(a ^ b for a, b in zip(slot[:32], slot[32:64], strict=True)))


class _Crashing(_Careless):
    """A sealer that leaves the error tree."""

    def unseal(self, slot: bytes) -> Secret:
        raise ValueError("no leaf of the tree")


def test_the_attack_finds_a_sealer_without_a_tag_and_one_that_crashes() -> None:
    """Negative control."""
    assert _Careless().unseal(_Careless().seal(Secret(ROOT))).reveal() == ROOT
    with pytest.raises(AssertionError, match="may be flipped: False"):
        attack(_Careless(), _Careless().seal(Secret(ROOT)), range(1024))
    with pytest.raises(ValueError, match="no leaf"):
        attack(_Crashing(), _Careless().seal(Secret(ROOT)), range(1024))
