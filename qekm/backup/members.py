"""The files inside a backup: always the same ones in the same order, each after its name and its length."""

from __future__ import annotations

from collections.abc import Iterator

from qekm.errors import BackupDamaged

STORE, CONFIG, AUDIT_KEY = "qekm.db", "KeyManagerConfig.properties", "audit.pem"
NAMES = (STORE, CONFIG, AUDIT_KEY)
_SIZE = 8  # bytes of a member's length


def head_of(name: str, size: int) -> bytes:
    """Return what stands before a member's bytes."""
    return bytes([len(name)]) + name.encode() + size.to_bytes(_SIZE)


class Sorter:
    """Plaintext in, pieces of members out; BackupDamaged unless these are the members of a backup."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._at = 0  # the member that is being read, or is next
        self._left: int | None = None  # bytes of it to come; None before its head

    def feed(self, plain: bytes) -> Iterator[tuple[str, bytes]]:
        """Take more; yield each member's name with a piece of it, at least once also for an empty one."""
        self._waiting += plain
        while self._at < len(NAMES):
            if self._left is None and not self._take_head():
                return
            assert self._left is not None
            piece = bytes(self._waiting[: self._left])
            if not piece and self._left:
                return
            del self._waiting[: len(piece)]
            self._left -= len(piece)
            yield NAMES[self._at], piece
            if not self._left:
                self._at, self._left = self._at + 1, None
        if self._waiting:
            raise BackupDamaged("the backup holds more than it should")

    def close(self) -> None:
        """Make sure that nothing is missing; BackupDamaged."""
        if self._at < len(NAMES):
            raise BackupDamaged(f"the backup ends before {NAMES[self._at]} does")

    def _take_head(self) -> bool:
        """Read the next member's head; False if more bytes are needed."""
        begun = head_of(NAMES[self._at], 0)[:-_SIZE]
        if not begun.startswith(bytes(self._waiting[: len(begun)])):
            raise BackupDamaged(f"the backup has something else where {NAMES[self._at]} should be")
        if len(self._waiting) < len(begun) + _SIZE:
            return False
        self._left = int.from_bytes(self._waiting[len(begun) : len(begun) + _SIZE])
        del self._waiting[: len(begun) + _SIZE]
        return True
