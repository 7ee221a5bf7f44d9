"""Everything that was written to a disk, on a tape: what it would hold had its power gone at any moment.

Of what was flushed before that moment everything is there. Of what was written since, a disk may have put any
sectors in their place, in any order, before its power went: none, some, or all, and of a write a part.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from tests.faults.powercut.rig import run

_ENTRY = Struct(">QQI")
_FLUSH = (1 << 64) - 1
_SECTOR = 512
_PIECE = 65_536
_BLANK = bytes(_PIECE)
_SUPER = 4_096  # ext4 checks its first block as a whole, and does not write it whole twice


@dataclass(frozen=True, slots=True)
class Entry:
    """One write, or with data None one flush that had ended."""

    time_ns: int
    offset: int
    data: bytes | None


class Disk:
    """What a tape says, played forward from moment to moment."""

    def __init__(self, tape: Path, size: int) -> None:
        """Read a whole tape; the last entry may be cut off."""
        self._entries = _read(tape.read_bytes())
        self._durable, self._place = bytearray(size), 0
        self._open: list[Entry] = []  # since the last flush

    @property
    def span_ns(self) -> tuple[int, int]:
        """Return the times of the first and the last entry."""
        return self._entries[0].time_ns, self._entries[-1].time_ns

    @property
    def flushes(self) -> list[int]:
        """Return when flushes had ended."""
        return [entry.time_ns for entry in self._entries if entry.data is None]

    def cut(self, moment_ns: int, image: Path, dice: random.Random) -> None:
        """Write what the disk would hold had its power gone at a moment, no earlier than the last one."""
        while self._place < len(self._entries) and self._entries[self._place].time_ns <= moment_ns:
            entry = self._entries[self._place]
            self._place += 1
            if entry.data is not None:
                self._open.append(entry)
                continue
            for each in self._open:
                _put(self._durable, each.offset, each.data or b"")
            self._open.clear()
        content, kept = bytearray(self._durable), dice.choice((0.0, 0.0, 0.2, 0.8, 1.0))
        for each in self._open:
            for offset, sector in _sectors(each, dice, kept):
                _put(content, offset, sector)
        with image.open("wb") as file:
            file.truncate(len(content))
            for start in range(0, len(content), _PIECE):
                piece = content[start : start + _PIECE]
                if piece != _BLANK[: len(piece)]:
                    file.seek(start)
                    file.write(piece)


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """Mount an image for a block, as a start after the power cut would; UnavailableError."""
    place.mkdir(exist_ok=True)
    run("mount", "-o", "loop", str(image), str(place))
    try:
        yield place
    finally:
        run("umount", str(place))


def _sectors(entry: Entry, dice: random.Random, kept: float) -> Iterator[tuple[int, bytes]]:
    """Yield those sectors of a write that the disk had put in their place."""
    data = entry.data or b""
    size = _SECTOR if entry.offset >= _SUPER and dice.random() < 0.5 else len(data)
    for start in range(0, len(data), size or 1):
        if dice.random() < kept:
            yield entry.offset + start, data[start : start + size]


def _put(content: bytearray, offset: int, data: bytes) -> None:
    content[offset : offset + len(data)] = data


def _read(content: bytes) -> list[Entry]:
    entries, place = [], 0
    while place + _ENTRY.size <= len(content):
        time_ns, offset, length = _ENTRY.unpack_from(content, place)
        start = place + _ENTRY.size
        data = content[start : start + length]
        if len(data) < length:
            break
        entries.append(Entry(time_ns, offset, None if offset == _FLUSH else data))
        place = start + length
    return entries
