"""The root key's slots: each is one way of opening the store, and opens it alone.

A slot is sealed under a key that is derived from what its owner has (a file, a token, shares) or knows (a
password). Its digest tells damage from a wrong password. Its commitment binds it to one root key, which
AES-GCM alone does not: a slot could be made that opens to two roots under two passwords.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qekm.errors import BadPassword, StoreDamaged
from qekm.secret import Secret

RandomBytes = Callable[[int], bytes]

ROOT_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Cost:
    """Work factor of Argon2id (RFC 9106)."""

    memory_kib: int
    iterations: int
    lanes: int


# Of a slot that is sealed under 256 random bits: stretching adds nothing to them.
NO_COST = Cost(0, 0, 0)

# From salt and cost to the key of a slot: 32 bytes.
Derive = Callable[[bytes, Cost], bytes]


class Sealer(Protocol):
    """One way of opening a store; `kind` names its slot."""

    @property
    def kind(self) -> str:
        """Name of the slot: key-file, password, pkcs11, shares."""

    def seal(self, root: Secret) -> bytes:
        """Return a slot that this sealer opens."""

    def unseal(self, slot: bytes) -> Secret:
        """Return the root key; BadPassword: not this slot's; StoreDamaged: not what was written."""


# magic, kind, cost (of a password), salt, nonce, commitment | sealed root | SHA-256 of all before it
_HEAD = Struct(">8s12sIII16s12s32s")
_MAGIC = b"QEKMSLT1"
_TAG = 16
_SLOT_LENGTH = _HEAD.size + ROOT_LENGTH + _TAG + 32


def write_slot(kind: str, cost: Cost, root: Secret, derive: Derive, random_bytes: RandomBytes) -> bytes:
    """Return the root key sealed under what `derive` makes of a fresh salt."""
    salt, nonce = random_bytes(16), random_bytes(12)
    head = _HEAD.pack(
        _MAGIC,
        kind.encode(),
        cost.memory_kib,
        cost.iterations,
        cost.lanes,
        salt,
        nonce,
        _commitment(root.reveal()),
    )
    slot = head + AESGCM(derive(salt, cost)).encrypt(nonce, root.reveal(), head)
    return slot + sha256(slot).digest()


def read_slot(kind: str, slot: bytes, derive: Derive, opener: str = "") -> Secret:
    """Return the root key of a slot; BadPassword when the key is another's, else StoreDamaged.

    opener: what people call that which opens the slot, if not by its kind.
    """
    body, digest = slot[:-32], slot[-32:]
    if len(slot) != _SLOT_LENGTH or not hmac.compare_digest(sha256(body).digest(), digest):
        raise StoreDamaged(f"the {kind} slot is damaged", slot=kind)
    head = body[: _HEAD.size]
    magic, found, memory, iterations, lanes, salt, nonce, commitment = _HEAD.unpack(head)
    if magic != _MAGIC or found.rstrip(b"\0") != kind.encode():
        raise StoreDamaged(f"the {kind} slot is none of this program's", slot=kind)
    key = derive(salt, Cost(memory, iterations, lanes))
    try:
        root = AESGCM(key).decrypt(nonce, body[_HEAD.size :], head)
    except InvalidTag:
        raise BadPassword(f"the {opener or kind} does not open this store") from None
    if not hmac.compare_digest(_commitment(root), commitment):
        raise StoreDamaged(f"the {kind} slot does not hold the root key that it names", slot=kind)
    return Secret(root)


def hkdf(secret: Secret, kind: str) -> Derive:
    """Return what makes slot keys of 32 random bytes (HKDF-SHA256, RFC 5869); one for each kind and salt."""
    info = b"QEKM SLOT 1 " + kind.encode()
    return lambda salt, _: HKDF(SHA256(), ROOT_LENGTH, salt, info).derive(secret.reveal())


def _commitment(root: bytes) -> bytes:
    return hmac.digest(root, b"QEKM COMMIT 1", "sha256")


def kind_of(slot: bytes) -> str:
    """Return the kind of a slot, which is not verified before the slot is opened; empty if it is none."""
    return slot[8:20].rstrip(b"\0").decode("ascii", "replace") if len(slot) > _HEAD.size else ""
