"""What stands in front of a backup's stream: the header, the store's slots, and the stream's wrapped key.

That is wrapped under a key derived from the root key, and bound to everything before it (`about`): who opens
any of the slots opens the backup, and nobody without the root key can make one (docs/decisions/0012).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from qekm.backup.header import LONGEST, Header
from qekm.errors import BackupDamaged
from qekm.sealing.slot import kind_of

MAGIC = b"QEKMBACK"
VERSION = 1
MOST_SLOTS = 64
MOST_BYTES = 1 << 19  # of a whole cover: more than all of its fields at their longest
_LONGEST_NAME, _LONGEST_SLOT, _LONGEST_KEY = 255, 4_096, 255


class Way(NamedTuple):
    """One way of opening a backup: a slot of its store."""

    name: str
    kind: str
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Cover:
    """Everything of a backup that can be read without a key."""

    header: Header
    ways: tuple[Way, ...]
    wrapped: bytes

    @property
    def slots(self) -> dict[str, bytes]:
        """Return the sealed root keys by name."""
        return {way.name: way.sealed for way in self.ways}

    @property
    def about(self) -> bytes:
        """Return the SHA-256 of everything before the wrapped key: what key and stream are bound to."""
        return about(self.header, self.ways)

    def serialize(self) -> bytes:
        """Return the cover's bytes."""
        return _front(self.header, self.ways) + _prefixed(self.wrapped, 1)

    @classmethod
    def parse(cls, content: bytes) -> tuple[Cover, int] | None:
        """Return the cover that a file begins with and its length; None if more bytes are needed.

        BackupDamaged; nothing is authenticated yet but by `about`, with which the key is unwrapped.
        """
        cursor = _Cursor(content)
        try:
            cursor.expect(MAGIC, "this is no backup of Q-EKM")
            cursor.expect(bytes([VERSION]), "the backup is of a version that this program does not know")
            header = Header.parse(cursor.take(4, LONGEST))
            ways = tuple(_way(cursor) for _ in range(cursor.number(1, MOST_SLOTS)))
            wrapped = cursor.take(1, _LONGEST_KEY)
        except _MoreError:
            return None
        if len({way.name for way in ways}) != len(ways) or not ways:
            raise BackupDamaged("the backup's slots cannot be")
        return cls(header, ways, wrapped), cursor.place


def cover_of(header: Header, slots: dict[str, bytes], wrap: Callable[[bytes], bytes]) -> Cover:
    """Return a new backup's cover; `wrap` gives the wrapped key for what the cover is about."""
    ways = tuple(Way(name, kind_of(sealed), sealed) for name, sealed in sorted(slots.items()))
    return Cover(header, ways, wrap(about(header, ways)))


def about(header: Header, ways: tuple[Way, ...]) -> bytes:
    """Return the SHA-256 of a cover up to its wrapped key."""
    return sha256(_front(header, ways)).digest()


def _front(header: Header, ways: tuple[Way, ...]) -> bytes:
    slots = b"".join(
        _prefixed(way.name.encode(), 1) + _prefixed(way.kind.encode(), 1) + _prefixed(way.sealed, 2)
        for way in ways
    )
    return MAGIC + bytes([VERSION]) + _prefixed(header.serialize(), 4) + bytes([len(ways)]) + slots


def _prefixed(value: bytes, width: int) -> bytes:
    return len(value).to_bytes(width) + value


def _way(cursor: _Cursor) -> Way:
    try:
        name, kind = cursor.take(1, _LONGEST_NAME).decode(), cursor.take(1, _LONGEST_NAME).decode()
    except UnicodeDecodeError:
        raise BackupDamaged("the backup's slots cannot be") from None
    return Way(name, kind, cursor.take(2, _LONGEST_SLOT))


class _MoreError(Exception):
    """The bytes end before the cover does."""


class _Cursor:
    """Takes fields from the front of what has come so far."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.place = 0

    def expect(self, value: bytes, otherwise: str) -> None:
        """Take bytes that must be these; the first that differs is told at once."""
        found = self._content[self.place : self.place + len(value)]
        if not value.startswith(found):
            raise BackupDamaged(otherwise)
        self._advance(len(value))

    def number(self, width: int, most: int) -> int:
        """Take a number."""
        start = self.place
        self._advance(width)
        value = int.from_bytes(self._content[start : self.place])
        if value > most:
            raise BackupDamaged("a field of the backup's cover is too long")
        return value

    def take(self, width: int, most: int) -> bytes:
        """Take bytes after their length."""
        length = self.number(width, most)
        start = self.place
        self._advance(length)
        return self._content[start : self.place]

    def _advance(self, length: int) -> None:
        if self.place + length > len(self._content):
            raise _MoreError
        self.place += length
