"""Take Java's big-endian numbers and its texts from bytes; BadFile where they do not fit."""

from __future__ import annotations

import struct
from typing import NoReturn

from qekm.errors import BadFile

_FIRST_OF_FOUR = 0xF0  # a UTF-8 sequence of four bytes, which Java's own form of it never has


class Cursor:
    """A place in bytes that only moves on; `name` is what the bytes are to a person."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name = data, name
        self.at = 0

    @property
    def left(self) -> int:
        """Number of bytes that were not taken yet."""
        return len(self._data) - self.at

    def take(self, length: int) -> bytes:
        """Take this many bytes; BadFile if fewer are left."""
        if length > self.left:
            self.refuse(f"needs {length:,} more bytes and has {self.left:,}: cut off, or altered")
        self.at += length
        return self._data[self.at - length : self.at]

    def number(self, length: int) -> int:
        """Take an unsigned number of this many bytes."""
        return int.from_bytes(self.take(length))

    def count(self, smallest: int, most: int) -> int:
        """Take the 4-byte number of things to come, of which each needs at least `smallest` bytes."""
        count = self.number(4)
        if count > min(most, self.left // smallest):
            self.refuse(f"claims {count:,} parts, and has no room for them")
        return count

    def text(self) -> str:
        """Take a text in Java's modified UTF-8 behind its 2-byte length (java.io.DataInput)."""
        raw = self.take(self.number(2))
        if raw.isascii():
            return raw.decode()
        try:
            if max(raw) >= _FIRST_OF_FOUR:
                raise ValueError
            # Surrogates stand alone in it, and zero is written as C0 80.
            units = raw.replace(b"\xc0\x80", b"\0").decode("utf-8", "surrogatepass")
            return units.encode("utf-16-be", "surrogatepass").decode("utf-16-be")
        except ValueError:
            self.refuse("has a text that is not in Java's UTF-8")

    def finish(self) -> None:
        """Refuse bytes that nobody asked for."""
        if self.left:
            self.refuse(f"has {self.left:,} bytes too many")

    def refuse(self, what: str) -> NoReturn:
        """Raise BadFile, naming what is wrong and where."""
        raise BadFile(f"{self._name} {what} (at byte {self.at:,})")


def text(value: str) -> bytes:
    """Return a text as Cursor.text takes it; ValueError if it is too long, or half a character."""
    encoded = value.encode("utf-16-be")
    units = "".join(map(chr, struct.unpack(f">{len(encoded) // 2}H", encoded)))
    raw = units.encode("utf-8", "surrogatepass").replace(b"\0", b"\xc0\x80")
    if len(raw) > 0xFFFF:
        raise ValueError("a text of over 65,535 bytes")
    return len(raw).to_bytes(2) + raw


def sized(value: bytes) -> bytes:
    """Return the value behind its 4-byte length."""
    return len(value).to_bytes(4) + value
