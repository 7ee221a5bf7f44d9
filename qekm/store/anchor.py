"""The anchor: a small file, best on another file system, that says how far the store has been.

A store that is behind its anchor is an old copy. Each commit overwrites one of two records in place, so that
a torn write leaves the other; they are synced once a second at most, and written only after the commit that
they tell of. An anchor may be behind its store (power was cut), never ahead.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from qekm.errors import StoreFailed
from qekm.sealing.seals import Seals

_MAGIC = b"QEKMANC1"
_RECORD = Struct(">8sQQ32s32s")  # magic, epoch, sequence, store root, MAC
MISSING = "its anchor is missing or is another store's"
_SYNC_EVERY_S = 1.0  # a kill loses nothing that was written; a power cut may lose this much of the anchor
_STRIDE = 512  # bytes: a sector, so that the two records never share one


@dataclass(frozen=True, slots=True, order=True)
class Witness:
    """That a store had been as far as this: epoch, commit, and the store root there (empty: not told)."""

    epoch: int
    sequence: int
    root: bytes = b""


class Anchor:
    """The open file of one store; kept by its writer."""

    def __init__(self, path: Path, seals: Seals, estate_id: bytes) -> None:
        """Open the file, made if it is not there; StoreFailed."""
        self._path, self._seals, self._estate_id = path, seals, estate_id
        self._synced_s = 0.0
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._handle = os.open(path, flags, 0o600)
            if os.fstat(self._handle).st_size < 2 * _STRIDE:
                os.ftruncate(self._handle, 2 * _STRIDE)
                os.posix_fallocate(self._handle, 0, 2 * _STRIDE)
        except OSError as error:
            raise StoreFailed(f"the anchor {path} cannot be opened: {error.strerror}") from None

    def put(self, witness: Witness) -> None:
        """Say how far the store is, after its commit; OSError."""
        head = _RECORD.pack(_MAGIC, witness.epoch, witness.sequence, witness.root, bytes(32))[:-32]
        mac = self._seals.root("anchor", self._estate_id, head)
        place = witness.sequence % 2 * _STRIDE
        if os.pwrite(self._handle, head + mac, place) != _RECORD.size:
            raise OSError(f"{self._path} was not written whole")
        if time.monotonic() - self._synced_s > _SYNC_EVERY_S:
            self.sync()

    def sync(self) -> None:
        """Make what was said last outlive a power cut; OSError."""
        os.fdatasync(self._handle)
        self._synced_s = time.monotonic()

    def close(self) -> None:
        """Sync and close the file; OSError."""
        self.sync()
        os.close(self._handle)


def read_anchor(path: Path, seals: Seals, estate_id: bytes) -> Witness | None:
    """Return what an anchor says; None if there is none, or not a record in it that is of this estate."""
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreFailed(f"the anchor {path} cannot be read: {error.strerror}") from None
    found = []
    for place in (0, _STRIDE):
        record = content[place : place + _RECORD.size]
        if len(record) < _RECORD.size:
            continue
        magic, epoch, sequence, root, mac = _RECORD.unpack(record)
        if magic == _MAGIC and hmac.compare_digest(seals.root("anchor", estate_id, record[:-32]), mac):
            found.append(Witness(epoch, sequence, root))
    return max(found, default=None)


def behind(own: Witness, anchored: bool, anchor: Witness | None, others: Iterable[Witness] = ()) -> str:
    """Return why a store may be an old copy, empty if nothing says so.

    own: where the store is; anchored: it once had an anchor; others: what backups and peers have seen of it.
    """
    latest = max(others, default=own)
    if (latest.epoch, latest.sequence) > (own.epoch, own.sequence):
        return f"a backup has seen commit {latest.sequence:,}, it is at {own.sequence:,}"
    if anchor is None:
        return MISSING if anchored else ""
    if (anchor.epoch, anchor.sequence) > (own.epoch, own.sequence):
        return f"its anchor has seen commit {anchor.sequence:,}, it is at {own.sequence:,}"
    if (anchor.epoch, anchor.sequence) == (own.epoch, own.sequence) and anchor.root != own.root:
        return "its anchor has seen another store at the same commit"
    return ""
