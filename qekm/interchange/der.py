"""DER, written and read strictly (X.690): what parcels and CMS files are made of. Sans-I/O.

asn1crypto reads BER as well, so that many files would say the same, and copies the contents at every level,
keys and all. Here nothing but DER is read, and contents are views of one buffer, which its owner wipes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from qekm.errors import BadFile

INTEGER, OCTETS, OID, UTF8, SEQUENCE, SET = 0x02, 0x04, 0x06, 0x0C, 0x30, 0x31
CONTEXT_0, CONTEXT_1 = 0xA0, 0xA1  # constructed
CONTEXT_0_PRIMITIVE = 0x80

Bytes = bytes | bytearray | memoryview


def nest(tag: int, *parts: Bytes) -> tuple[Bytes, ...]:
    """Return the parts with an element's tag and length before them, to be joined once at the end."""
    length = sum(map(len, parts))
    if length < 0x80:
        return bytes((tag, length)), *parts
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big"), *parts


def element(tag: int, *parts: Bytes) -> bytes:
    """Return an element whose contents are the parts, one after the other."""
    return b"".join(nest(tag, *parts))


def integer(value: int) -> bytes:
    """Return an INTEGER; value: not negative."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


class Reader:
    """Takes elements one after the other from a view; BadFile for whatever is not DER or not expected."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def take(self, tag: int) -> memoryview:
        """Return the contents of the next element."""
        start, self._at = self._bounds(tag)
        return self._data[start : self._at]

    def whole(self, tag: int) -> bytes:
        """Return a copy of the next element, tag and length included."""
        begin = self._at
        _, self._at = self._bounds(tag)
        return bytes(self._data[begin : self._at])

    def enter(self, tag: int) -> Reader:
        """Return a reader of the next element's contents."""
        return Reader(self.take(tag))

    def last(self, tag: int) -> memoryview:
        """Return the contents of the next element, after which nothing may follow."""
        contents = self.take(tag)
        self.end()
        return contents

    def only(self, tag: int) -> Reader:
        """Return a reader of what `last` returns."""
        return Reader(self.last(tag))

    def choose(self, encodings: Collection[bytes], name: str) -> bytes:
        """Return the next element, which must be one of these encodings; name: for the error, what it is."""
        found = self.whole(next(iter(encodings))[0])
        if found not in encodings:
            raise BadFile(f"the file has another {name} than is accepted here")
        return found

    def integer(self, most: int) -> int:
        """Return the next element, an INTEGER from 0 to `most`."""
        contents = self.take(INTEGER)
        value = int.from_bytes(contents, "big")
        if len(contents) != value.bit_length() // 8 + 1 or value > most:
            raise BadFile("the file is damaged: a number is too large or not written as DER")
        return value

    def octets(self, length: int) -> memoryview:
        """Return the contents of the next element, an OCTET STRING of this length."""
        contents = self.take(OCTETS)
        if len(contents) != length:
            raise BadFile(f"the file is damaged: a field has {len(contents)} bytes instead of {length}")
        return contents

    def next_is(self, tag: int) -> bool:
        """Tell whether another element follows and has this tag."""
        return self._at < len(self._data) and self._data[self._at] == tag

    def elements(self, tag: int) -> Iterator[bytes]:
        """Yield copies of all elements that are left, tag and length included."""
        while self._at < len(self._data):
            yield self.whole(tag)

    def end(self) -> None:
        """Make sure that nothing follows."""
        if self._at != len(self._data):
            raise BadFile("the file is damaged or of another kind: it holds more than it should")

    def _bounds(self, tag: int) -> tuple[int, int]:
        """Return where the next element's contents start and end."""
        data, start = self._data, self._at + 2
        if len(data) < start or data[self._at] != tag:
            raise BadFile("the file is damaged or of another kind: an expected field is not there")
        length = data[start - 1]
        if length >= 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[start : start + size], "big")
            # Four bytes are more than any file here has; the shortest form is the only one in DER.
            if not 1 <= size <= 4 or length < 0x80 or length.bit_length() <= 8 * (size - 1):
                raise BadFile("the file is damaged: a length is not written as DER")
            start += size
        if length > len(data) - start:
            raise BadFile("the file is damaged: it ends too early")
        return start, start + length
