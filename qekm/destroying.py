"""End keys whose time has come: destroyed, in no part of the store any more, remembered outside of it.

First the commit, then the tombstones: a key that is still to be had is never named in one. What a crash cuts
off goes on at the next start.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol

from qekm.audit import SERVICE, occurred
from qekm.errors import StoreFailed
from qekm.estate import UNERASED
from qekm.failpoints import failpoint
from qekm.keystore import Keystore
from qekm.model import Change, Key, KeyState, Setting
from qekm.sealing import KeyRing
from qekm.tombstones import bury, read_tombstones

_log = logging.getLogger(__name__)

BATCH = 64  # keys a commit: 1 ms in which no drive is served
RETRY_S = 60.0
CLOSE_S = 2.0


class Files(Protocol):
    """The open store and its files (qekm.store.Store)."""

    ring: KeyRing
    estate_id: bytes

    async def commit(self, changes: Sequence[Change]) -> None:
        """Return when the unit is durable; StoreFailed, Incident."""

    def remove_older(self) -> None:
        """Remove what migrations have left beside the file; from a thread. OSError."""

    async def rewrite(self) -> bool:
        """Write the file anew, without what was erased; False if there is no room."""

    async def empty_log(self) -> bool:
        """Move all commits into the file and cut the log to nothing; False while somebody reads it long."""


class Destroyer:
    """Looks every second; made and run in one event loop."""

    def __init__(
        self,
        store: Files,
        keystore: Keystore,
        settings: dict[str, str],
        tombstones: Sequence[Path],
        now_us: Callable[[], int],
    ) -> None:
        """Take the owner and the store's settings. tombstones: the files; the first is beside the anchor."""
        self._store, self._keystore, self._settings, self._now_us = store, keystore, settings, now_us
        self._left: dict[Path, list[Key]] = {path: [] for path in tombstones}
        self._rewritten = False
        self._erase_s = self._bury_s = self._warn_s = 0.0  # not before
        self._burial: asyncio.Task[None] | None = None
        # Whether every other server has told all that it knows: a destruction may have been called off there.
        self.may: Callable[[], bool] = lambda: True

    async def start(self) -> None:
        """Destroy what the tombstones beside the anchor name: the store is older than they. StoreFailed."""
        gone = await asyncio.to_thread(self._read)
        back = [key for key in self._keystore if key.key_id in gone and key.state is not KeyState.DESTROYED]
        for start in range(0, len(back), BATCH):
            now_us = self._now_us()
            keys = [self._keystore.erase(key, now_us) for key in back[start : start + BATCH]]
            await self._commit(keys, "its tombstone was found: this store is an older copy")
        self._remember(self._keystore.in_state(KeyState.DESTROYED))

    async def tick(self) -> None:
        """Destroy what is due, then have it erased and remembered; StoreFailed."""
        while self._keystore.due(self._now_us()) and self.may():
            failpoint("destroy.before")
            keys = self._keystore.destroy_due(self._now_us(), BATCH)
            await self._commit(keys, "")
            self._remember(keys)
        if self._settings.get(UNERASED) and time.monotonic() >= self._erase_s:
            await self._erase()
        if any(self._left.values()) and self._burial is None and time.monotonic() >= self._bury_s:
            self._burial = asyncio.create_task(self.bury())

    async def bury(self) -> None:
        """Write the tombstones that the files lack; what cannot be written is tried again in a minute."""
        ring, estate_id = self._store.ring, self._store.estate_id
        try:
            for path, keys in self._left.items():
                if keys:
                    self._left[path] = []
                    await self._bury(path, keys, ring, estate_id)
        finally:
            self._burial = None

    def hear(self, key: Key) -> None:
        """Remember a key that another server has destroyed; what marks the files is committed with it."""
        if key.state is KeyState.DESTROYED:
            self._rewritten = False
            self._remember([key])

    async def close(self) -> None:
        """Wait a moment for the tombstones that are being written; the next start writes what is left."""
        if self._burial is not None:
            await asyncio.wait([self._burial], timeout=CLOSE_S)

    def _read(self) -> set[bytes]:
        """Return which keys the tombstones beside the anchor name: none, if these cannot be read."""
        try:
            return read_tombstones(next(iter(self._left)), self._store.ring.seals, self._store.estate_id)
        except StoreFailed as error:
            _log.error("%s: keys are served without them", error.message)
            return set()

    async def _bury(self, path: Path, keys: list[Key], ring: KeyRing, estate_id: bytes) -> None:
        try:
            await asyncio.to_thread(bury, path, keys, ring.seals, estate_id)
        except (OSError, StoreFailed) as error:
            self._left[path] += keys
            self._bury_s = time.monotonic() + RETRY_S
            _log.warning("the tombstones %s of destroyed keys cannot be written: %s", path, error)

    async def _erase(self) -> None:
        """Have the store's files hold nothing of destroyed keys; UNERASED stays until they do.

        Whoever copies or scrubs the store may keep its log for minutes; none of them is always at it.
        """
        if not self._rewritten:
            try:
                await asyncio.to_thread(self._store.remove_older)  # first: that makes room
            except OSError as error:
                _log.warning("an older store cannot be removed: copies of destroyed keys are left: %s", error)
                self._erase_s = time.monotonic() + RETRY_S
                return
            self._rewritten = await self._store.rewrite()
            if not self._rewritten:
                _log.warning("there is no room to write the store anew: copies of destroyed keys may be left")
                self._erase_s = time.monotonic() + RETRY_S
                return
            self._warn_s = time.monotonic() + RETRY_S
        if await self._store.empty_log():
            self._rewritten = False
            self._settings[UNERASED] = ""
            await self._store.commit([Setting(UNERASED, "")])
        elif time.monotonic() >= self._warn_s:
            _log.warning("somebody reads the store all the time: copies of destroyed keys are left meanwhile")
            self._warn_s = time.monotonic() + RETRY_S

    async def _commit(self, keys: Sequence[Key], message: str) -> None:
        """Commit keys that were destroyed, a record of each, and that copies of them are to be erased."""
        now_us = self._now_us()
        records = [occurred(now_us, "key.destroy", SERVICE, alias=key.alias, message=message) for key in keys]
        self._settings[UNERASED], self._rewritten = "yes", False
        await self._store.commit([*keys, *records, Setting(UNERASED, "yes")])
        _log.info("%s keys were destroyed", len(keys))

    def _remember(self, keys: Iterable[Key]) -> None:
        keys = list(keys)
        for left in self._left.values():
            left.extend(keys)
