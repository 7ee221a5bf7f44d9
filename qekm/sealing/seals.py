"""What keeps a store's rows as they were written: a MAC for each row, and one value that all of them make.

row MAC    HMAC-SHA256 (row key) over table and values, 16 bytes, stored beside the row
element    HMAC-SHA256 (element key) over a row MAC: a number that is never stored
root MAC   HMAC-SHA256 (root key) over the sum of all elements and what else the store is at one commit

The sum is a keyed multiset hash (MSet-Add-Hash; Clarke and others, ASIACRYPT 2003): a row written, changed
or removed costs an addition, never a pass over all rows. Neither elements nor sum are ever on disk, so that
nobody can combine old rows to an old sum.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from struct import Struct

Value = int | str | bytes | None  # what a column holds

MAC_LENGTH = 16
_WHOLE = Struct(">cq").pack
_HEAD = Struct(">cI").pack


class Seals:
    """The three keys, derived from the root key, and what is computed with them."""

    __slots__ = ("_element", "_root", "_row")

    def __init__(self, derive: Callable[[bytes], bytes]) -> None:
        """Derive the keys; `derive` makes 32 bytes of a purpose."""
        self._row, self._element = _keyed(derive(b"ROW")), _keyed(derive(b"ELEMENT"))
        self._root = derive(b"STORE ROOT")

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("seals are not pickled")

    def row(self, table: str, values: Iterable[Value]) -> bytes:
        """Return the MAC of a row, its columns in the order of the table, without the MAC's own."""
        mac = self._row.copy()
        mac.update(encoded((table, *values)))
        return mac.digest()[:MAC_LENGTH]

    def element(self, mac: bytes) -> int:
        """Return what a row of this MAC adds to the sum."""
        element = self._element.copy()
        element.update(mac)
        return int.from_bytes(element.digest())

    def root(self, *values: Value) -> bytes:
        """Return the MAC, 32 bytes, of what a whole store is at one commit."""
        return hmac.digest(self._root, encoded(values), "sha256")


def _keyed(key: bytes) -> hmac.HMAC:
    """Return a MAC that has taken its key: copying it costs half of what taking the key does."""
    return hmac.new(key, digestmod="sha256")


def encoded(values: Iterable[Value]) -> bytes:
    """Return bytes that no other values have: each after its kind, and its length where that varies."""
    parts: list[bytes] = []
    for value in values:
        if isinstance(value, bytes):
            parts += (_HEAD(b"b", len(value)), value)
        elif isinstance(value, str):
            text = value.encode()
            parts += (_HEAD(b"t", len(text)), text)
        elif value is None:
            parts.append(b"n")
        else:
            parts.append(_WHOLE(b"i", value))
    return b"".join(parts)
