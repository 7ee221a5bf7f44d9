"""What a server that joins an estate gets, and how the root key in it is wrapped.

Both ends make an X25519 key pair for this one welcome (RFC 7748). What the two make together goes through
HKDF-SHA256 (RFC 5869), salted with the estate and bound to both public keys and to the name that is let in,
and is the key of one AES-256-GCM box with a nonce of zeros: it seals nothing else, ever. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from struct import Struct, error

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qekm.errors import PeerRefused
from qekm.model import Slot
from qekm.secret import Secret
from qekm.store import SHARED, Line

PUBLIC_LENGTH = 32
_ROOT_LENGTH = 32
_ZEROS = bytes(12)
_SLOT = Struct(">BBHq")  # lengths of name, kind and sealed root key; when it was made, microseconds


# What a server must know before it serves anybody: who is refused, whose password is asked for, which drives
# there are and how they are served. A drive that it took for a new one would lose its entry everywhere. Keys
# and their uses, which may be many, come by replication.
TABLES = tuple(name for name in SHARED if name not in ("keys", "cartridges", "checkpoints"))


@dataclass(frozen=True, slots=True)
class Welcome:
    """Everything that a new server begins with."""

    certificate: bytes  # its own, PEM, leaf first
    trust: bytes  # the authorities in force, PEM
    estate_id: bytes
    wrapping_key: bytes  # the sender's, 32 bytes
    wrapped: bytes = field(repr=False)  # root key and slots (Wrapping)
    columns: Mapping[str, tuple[str, ...]]  # of the tables that rows are of
    lines: tuple[Line, ...]
    record_versions: tuple[int, ...]  # of the record key
    properties: Mapping[str, str]  # that all servers have in common


@dataclass(frozen=True, slots=True)
class Wrapping:
    """Whom a welcome is for: the estate (16 bytes) and the name that is let in."""

    estate_id: bytes
    name: str

    def wrap(self, root: Secret, slots: Iterable[Slot], own: X25519PrivateKey, other: bytes) -> bytes:
        """Return root key and slots for the holder of the other key (32 bytes); PeerRefused for no key."""
        return self._box(own, other, sender=public(own), receiver=other).encrypt(
            _ZEROS, root.reveal() + b"".join(map(_packed, slots)), None
        )

    def unwrap(self, wrapped: bytes, own: X25519PrivateKey, other: bytes) -> tuple[Secret, list[Slot]]:
        """Return root key and slots; PeerRefused for what was altered or is for somebody else."""
        box = self._box(own, other, sender=other, receiver=public(own))
        try:
            raw = box.decrypt(_ZEROS, wrapped, None)
            return Secret(raw[:_ROOT_LENGTH]), _slots(raw[_ROOT_LENGTH:])
        except (InvalidTag, ValueError, error):
            raise PeerRefused("the welcome was altered, or is for another server", peer=self.name) from None

    def _box(self, own: X25519PrivateKey, other: bytes, sender: bytes, receiver: bytes) -> AESGCM:
        try:
            shared = own.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError:  # of another length, or a point of small order
            raise PeerRefused("the wrapping key is no X25519 key", peer=self.name) from None
        info = b"QEKM WELCOME 1" + sender + receiver + self.name.encode()
        return AESGCM(HKDF(SHA256(), 32, self.estate_id, info).derive(shared))


def public(key: X25519PrivateKey) -> bytes:
    """Return the public half of a wrapping key, 32 bytes."""
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _packed(slot: Slot) -> bytes:
    name, kind = slot.name.encode(), slot.kind.encode()
    return _SLOT.pack(len(name), len(kind), len(slot.sealed), slot.create_time_us) + name + kind + slot.sealed


def _slots(raw: bytes) -> list[Slot]:
    """Return the slots that were packed one after the other; struct.error, ValueError."""
    slots, place = list[Slot](), 0
    while place < len(raw):
        *lengths, made_us = _SLOT.unpack_from(raw, place)
        place += _SLOT.size
        parts = []
        for length in lengths:
            parts.append(raw[place : place + length])
            place += length
        slots.append(Slot(parts[0].decode(), parts[2], parts[1].decode(), made_us))
    return slots
