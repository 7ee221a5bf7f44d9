"""Rotation of the record key: a new version for what is sealed from now on, every key sealed anew in the
background, and the old version forgotten when neither a key nor a backup that is kept needs it any more.

The new version is on the disk before anything that is sealed under it. So a start finds what a crash left:
keys under an older version than `record.current`, which are then sealed anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from qekm import clock
from qekm.audit import SERVICE, occurred
from qekm.errors import ReadOnly, TooMany
from qekm.failpoints import failpoint
from qekm.keystore import Keystore
from qekm.model import AuditRecord, Backup, BackupState, Change, Key, Outcome, Setting
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.store import CURRENT, MOST_VERSIONS, OLDEST, Witness

_log = logging.getLogger(__name__)

BATCH = 64  # keys a commit: 3 ms in which no drive is served
WORK_S = 0.5  # of every second: the other duties of the upkeep come in between
RESEALED = "record.resealed"  # a setting: version, epoch and sequence since which no older version is in use
_KEPT = (BackupState.CREATED, BackupState.VERIFIED)


class Rows(Protocol):
    """The store, as far as a rotation needs it."""

    @property
    def ring(self) -> KeyRing:
        """Return what seals the keys."""

    @property
    def witness(self) -> Witness:
        """Return where the store is."""

    async def commit(self, changes: Sequence[Change]) -> None:
        """Return when the unit is durable; StoreFailed."""

    def record_versions(self) -> set[int]:
        """Return the versions under which the keys on the disk are sealed; from a thread."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a rotation is: the present version, keys under it, keys that have material."""

    version: int
    done: int
    total: int


class Rotating:
    """One rotation at a time; `tick` is called every second."""

    def __init__(
        self,
        store: Rows,
        keystore: Keystore,
        settings: dict[str, str],
        backups: Callable[[], Iterable[Backup]],
        busy: Callable[[], bool],
        now_us: Callable[[], int],
        steady_s: Callable[[], float] = clock.steady_s,
    ) -> None:
        """Take the owners; `settings` are the store's. busy: whether a backup is being made or proved."""
        self._store, self._keystore, self._settings = store, keystore, settings
        self._backups, self._busy, self._now_us, self._steady_s = backups, busy, now_us, steady_s
        self._damaged: set[str] = set()  # aliases of keys that cannot be sealed anew
        self._may = True  # forget anything, until the disk says otherwise
        # Whether every other server has all keys under this version: what it sends must open here.
        self.peers_ready: Callable[[int], bool] = lambda _version: True

    @property
    def running(self) -> bool:
        """Return whether keys are still to be sealed anew."""
        return self._keystore.stale() > len(self._damaged)

    @property
    def progress(self) -> Progress:
        """Return how far it is."""
        versions = {version: count for version, count in self._keystore.versions().items() if version}
        present = self._keystore.record_version
        return Progress(present, versions.get(present, 0), sum(versions.values()))

    def begin(self, root: Secret) -> list[Change]:
        """Add a version for all that is sealed from now on; what is returned is to be committed at once.

        ReadOnly, TooMany, StoreDamaged for another root key.
        """
        if self._keystore.read_only:
            raise ReadOnly(f"the record key is not rotated: {self._keystore.read_only}")
        if self._keystore.record_version >= MOST_VERSIONS:
            raise TooMany("the record key was rotated too often", limit=str(MOST_VERSIONS))
        self._damaged.clear()
        version = str(self._store.ring.rotate(root))
        self._settings[CURRENT] = version
        return [Setting(CURRENT, version)]

    async def tick(self) -> None:
        """Go on where the last tick, or the last process, stopped; StoreFailed."""
        if self._keystore.read_only or int(self._settings.get(OLDEST, 1)) == self._keystore.record_version:
            return
        if self.running:
            await self._reseal()
        elif not self._keystore.stale():
            await self._end()

    async def _reseal(self) -> None:
        """Seal keys anew in small commits for a part of a second."""
        until_s = self._steady_s() + WORK_S
        while self.running and self._steady_s() < until_s:
            failpoint("rotate.batch")
            keys, damaged = self._keystore.reseal(BATCH)
            records = [self._reported(key) for key in damaged if key.alias not in self._damaged]
            self._damaged.update(key.alias for key in damaged)
            if keys or records:
                await self._store.commit([*keys, *records])
            else:
                await asyncio.sleep(0)

    def _reported(self, key: Key) -> AuditRecord:
        what = "the key does not verify, and stays under its version of the record key"
        _log.error("key %s cannot be sealed anew: it does not verify", key.alias)
        return occurred(
            self._now_us(), "key.damaged", SERVICE, Outcome.FAILURE, alias=key.alias, message=what
        )

    async def _end(self) -> None:
        """Note since when no older version is in use, then forget those; the disk has the last word."""
        version = self._keystore.record_version
        told = self._settings.get(RESEALED, "").split()
        if not told or int(told[0]) != version:
            here = self._store.witness
            self._settings[RESEALED] = f"{version} {here.epoch} {here.sequence}"
            what = f"every key is sealed under version {version} of the record key"
            await self._commit(Setting(RESEALED, self._settings[RESEALED]), "keystore.reseal", what)
        elif self.peers_ready(version) and self._may_forget((int(told[1]), int(told[2]))):
            await self._forget(version)

    async def _forget(self, version: int) -> None:
        on_disk = await asyncio.to_thread(self._store.record_versions)
        if on_disk - {version}:
            self._may = False
            _log.error("versions %s of the record key are in use on the disk, and are kept", sorted(on_disk))
            return
        if self._keystore.stale() or self._busy():  # meanwhile
            return
        self._settings[OLDEST] = str(version)
        what = f"versions before {version} of the record key are forgotten"
        await self._commit(Setting(OLDEST, str(version)), "keystore.forget", what)
        self._store.ring.forget(version)

    def _may_forget(self, since: tuple[int, int]) -> bool:
        """Tell whether no backup that is kept has keys under an older version.

        The service proves backups with its own ring, in which the older version would be missing. Where new
        keys wait for a backup, one without older versions must have been VERIFIED.
        """
        if self._busy() or not self._may:
            return False
        kept = [each for each in self._backups() if each.state in _KEPT]
        if any((each.epoch, each.sequence) < since for each in kept):
            return False
        return bool(not self._keystore.must_wait or any(each.state is BackupState.VERIFIED for each in kept))

    async def _commit(self, setting: Setting, event: str, what: str) -> None:
        _log.info("%s", what)
        await self._store.commit([setting, occurred(self._now_us(), event, SERVICE, message=what)])
