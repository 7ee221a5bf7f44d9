"""Begin a new epoch with all that the disks know of the time since: backups, anchor, tombstones. Blocks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qekm.backup.reading import seen
from qekm.backup.target import Target
from qekm.configuration.settings import Settings
from qekm.epoch import Epoch, Past, turn
from qekm.errors import StoreFailed
from qekm.home import Home
from qekm.model import KeyState
from qekm.peers import KNOWN_EPOCH
from qekm.pki import RandomBytes
from qekm.sealing import KeyRing
from qekm.store import Snapshot
from qekm.store.anchor import read_anchor
from qekm.tombstones import NAME as TOMBSTONES
from qekm.tombstones import read_tombstones

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where something may be known of a store besides in itself."""

    anchor: Path
    backups: frozenset[Path]  # directories
    gone: frozenset[bytes] = frozenset()  # ids of keys that another store of the estate has destroyed
    others: frozenset[Path] = frozenset()  # directories in which there may be tombstones, too

    @classmethod
    def of(cls, home: Home, settings: Settings, *more: Path) -> Surroundings:
        """Return those of a home; more: directories of backups that the settings do not name."""
        target = Target.of(settings, home.path)
        directories = {*more, *([target.directory] if target else [])}
        return cls(home.path / settings["keystore.anchor"], frozenset(directories))

    def last_epoch(self, ring: KeyRing, own: int) -> int:
        """Return the last epoch that anything tells of, at least the store's own."""
        anchor = read_anchor(self.anchor, ring.seals, ring.estate_id)
        witnesses = [witness for place in self.backups for witness in seen(place, ring)]
        return max([own, *(each.epoch for each in (anchor, *witnesses) if each is not None)])

    def destroyed(self, ring: KeyRing) -> frozenset[bytes]:
        """Return the ids of the keys that have tombstones anywhere, or are destroyed in another store."""
        places = {self.anchor.parent, *self.backups, *self.others}
        return self.gone.union(*(_graves(place, ring) for place in places))


def turned(
    found: Snapshot,
    ring: KeyRing,
    own: int,
    settings: Settings,
    around: Surroundings,
    now_us: Callable[[], int],
    random_bytes: RandomBytes,
) -> Epoch:
    """Return the epoch that follows all that are known; own: that of the store as it was found."""
    past = Past(found, ring, around.destroyed(ring))
    known = int(found.settings.get(KNOWN_EPOCH, "0"))  # a peer would take an earlier one for an old copy
    waits = settings["keystore.protect"] != "none"
    first_state = KeyState.GENERATED if waits else KeyState.READY
    return turn(around.last_epoch(ring, max(own, known)) + 1, past, first_state, now_us, random_bytes)


def _graves(directory: Path, ring: KeyRing) -> set[bytes]:
    """Return the ids of keys whose tombstones are in a directory; none if it cannot be read."""
    try:
        return read_tombstones(directory / TOMBSTONES, ring.seals, ring.estate_id)
    except StoreFailed as error:
        _log.warning("%s", error.message)
        return set()
