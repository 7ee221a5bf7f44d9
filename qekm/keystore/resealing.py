"""Keys under a new version of the record key: sealed anew a few at a time, so that drives are served."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from qekm.errors import StoreDamaged
from qekm.keystore.index import Index
from qekm.model import Key
from qekm.sealing import KeyRing
from qekm.sealing.keyring import version_of

_LOOKS = 4_096  # keys looked at in one step: a millisecond


class Resealing(Index):
    """Keys that know which version of the record key each is sealed under."""

    def __init__(self, keys: Iterable[Key], ring: KeyRing, instance: bytes = b"") -> None:
        """Take the stored keys; StoreDamaged."""
        self._ring = ring
        self._walk: Iterator[str] = iter(())  # over all keys, while some are stale
        super().__init__(keys, instance)

    @property
    def record_version(self) -> int:
        """Return the version of the record key under which new keys are sealed."""
        return self._ring.version

    def stale(self) -> int:
        """Return how many keys are sealed under an older version of the record key."""
        return sum(count for version, count in self.versions().items() if 0 < version < self._ring.version)

    def reseal(self, most: int) -> tuple[list[Key], list[Key]]:
        """Seal at most so many stale keys anew.

        Return those, and those whose material does not verify, which stay as they are. It looks at few keys,
        so that none may be found although some are stale.
        """
        resealed, damaged = list[Key](), list[Key]()
        for _ in range(_LOOKS if self.stale() else 0):
            folded = next(self._walk, None)
            if folded is None:
                self._walk = iter(list(self._keys))
                break
            key = self._keys[folded]
            if not 0 < version_of(key.sealed) < self._ring.version:
                continue
            try:
                resealed.append(self._reseal(key))
            except StoreDamaged:
                damaged.append(key)
            if len(resealed) == most:
                break
        return resealed, damaged

    def _reseal(self, key: Key) -> Key:
        return self.rebox(replace(key, sealed=self._ring.reseal_key(key), version=key.version + 1))
