"""The audit trail's hash chain: what a record's bytes are and how one hangs on the one before.

    hash_n = SHA-256(hash_{n-1} || canonical bytes of record n), hash_0 = 32 zero bytes

Pure functions of the standard library: the writer computes links, a verifier recomputes them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

from qekm.model import AuditRecord

GENESIS = bytes(32)  # the hash before record 1
_SIGNED = b"QEKM AUDIT 1"
_NUMBERS = Struct(">QqBI")  # sequence, time_us, outcome, count: fixed widths need no length prefix
_LENGTH = Struct(">I").pack

Sign = Callable[[bytes], bytes]  # Ed25519 of the trail's key, over head_message()


@dataclass(frozen=True, slots=True)
class Link:
    """A record as the trail holds it: place, hash, and of a commit's last record the signature."""

    sequence: int
    record: AuditRecord
    hash: bytes
    signature: bytes | None


@dataclass(frozen=True, slots=True)
class Head:
    """The last link's place and hash; sequence 0 for an empty trail."""

    sequence: int = 0
    hash: bytes = GENESIS


def canonical(sequence: int, record: AuditRecord) -> bytes:
    """Return the bytes that a link covers: the numbers, then every other field after its length (4 bytes).

    No two different records have the same bytes, so a verifier can trust every field it shows.
    """
    fields = (
        record.event.encode(),
        record.actor.encode(),
        record.drive_serial.encode(),
        record.drive_wwnn,
        record.volser.encode(),
        record.alias.encode(),
        record.code.encode(),
        record.message.encode(),
    )
    numbers = _NUMBERS.pack(sequence, record.time_us, record.outcome, record.count)
    return numbers + b"".join([_LENGTH(len(field)) + field for field in fields])


def link(previous: bytes, sequence: int, record: AuditRecord) -> bytes:
    """Return the hash of a record that follows the one whose hash is `previous`."""
    return hashlib.sha256(previous + canonical(sequence, record)).digest()


def head_message(sequence: int, hash_: bytes) -> bytes:
    """Return the bytes that the signature of a commit's last record covers."""
    return _SIGNED + sequence.to_bytes(8, "big") + hash_
