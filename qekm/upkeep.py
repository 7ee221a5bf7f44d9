"""What the service does by itself: sessions end, pools are filled up, its own certificate is renewed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from qekm.api.journal import Commits
from qekm.audit import SERVICE, Strangers, keys_refilled, occurred
from qekm.errors import QekmError, StoreFailed
from qekm.model import Change, Outcome
from qekm.owners import Owners

_log = logging.getLogger(__name__)

BATCH = 64  # keys a commit: 1 ms in which no drive is served
_EVERY_S = 1.0
_DAY_US = 86_400 * 1_000_000
_GROUPS = 10_000


Duty = Callable[[], Coroutine[Any, Any, None]]


class Upkeep:
    """Runs beside the servicers in the same event loop; nothing in it takes longer than a batch of keys."""

    def __init__(
        self,
        owners: Owners,
        refusals: Strangers,
        store: Commits,
        publish: Callable[[], None],
        now_us: Callable[[], int],
    ) -> None:
        """Take the owners; `refusals` are those of callers, `publish` puts renewed certificates in force."""
        self._serving, self._keystore, self._allocator = owners.serving, owners.keystore, owners.allocator
        self._registry, self._certificates, self._refusals = owners.registry, owners.certificates, refusals
        self._store, self._publish, self._now_us = store, publish, now_us
        self._renewed_us, self._turn = now_us(), asyncio.Lock()
        self._low: set[str] = set()  # groups that were told of
        self._unfilled: set[str] = set()  # likewise, that no keys could be made for
        self.duties: list[Duty] = []  # what other conversations do by themselves, each a look every second

    async def run(self) -> None:
        """Tick every second until cancelled, or until the store has failed."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self.tick()
            except StoreFailed:
                return

    async def tick(self) -> None:
        """Do what is due now, each part whatever became of the others; StoreFailed."""
        async with self._turn:  # of two at once each would fill a pool up
            await _tried(self._tell())
            for group in self._allocator.page(limit=_GROUPS):
                await _tried(self._refill(group.name))
            await _tried(self._watch())
            if abs(self._now_us() - self._renewed_us) >= _DAY_US:  # the date may be set back, too
                await _tried(self.renew())
            for duty in self.duties:
                await _tried(duty())

    async def renew(self) -> None:
        """Renew the service's own certificate if it is time; to be called at the start, too."""
        self._renewed_us = self._now_us()
        changes = self._certificates.refresh_server()
        if changes:
            what = "the certificate of the service was renewed"
            await self._commit(
                [*changes, occurred(self._now_us(), "certificate.renew", SERVICE, message=what)]
            )
        self._publish()

    def hasten(self) -> None:
        """Look at the next tick whether a renewal is due: another server has changed the authority."""
        self._renewed_us = 0

    async def close(self) -> None:
        """Write what was counted and not yet written."""
        await self._commit([*self._serving.drain(), *self._refusals.drain()])

    async def _tell(self) -> None:
        """End the sessions whose time is over, and write what was counted in a minute that is over."""
        await self._commit([*self._serving.expire(), *self._refusals.flush(self._now_us())])

    async def _refill(self, group: str) -> None:
        """Fill a group's pool up in small commits, between which drives are served."""
        missing = self._allocator.needs_refill(group)
        if missing:
            _log.info("group %s is filled up: %s keys are made", group, missing)
        try:
            while missing > 0:
                keys = self._keystore.generate(min(BATCH, missing), group)
                await self._commit([*keys, keys_refilled(self._now_us(), keys, group)])
                missing -= len(keys)
        except StoreFailed:
            raise
        except QekmError as error:
            await self._tell_filling(group, error.message)
            raise
        await self._tell_filling(group)

    async def _tell_filling(self, group: str, failure: str = "") -> None:
        """Record once that no keys can be made for a group, and once that they can again."""
        if bool(failure) == (group in self._unfilled):
            return
        (self._unfilled.add if failure else self._unfilled.discard)(group)
        outcome = Outcome.FAILURE if failure else Outcome.SUCCESS
        what = f"group {group}: {failure or 'keys are made again'}"
        await self._commit([occurred(self._now_us(), "group.refill", SERVICE, outcome, message=what)])

    async def _watch(self) -> None:
        """Tell once of each group that has become low in spite of that, and once when it is well, or gone."""
        groups = {group.name for group in self._allocator.page(limit=_GROUPS)}
        low = {name for name in groups if self._allocator.is_low(name, self._registry.names_group)}
        changes: list[Change] = []
        for name in sorted((low ^ self._low) & groups):
            held, ready = self._allocator.counts(name)
            outcome = Outcome.FAILURE if name in low else Outcome.SUCCESS
            message = f"group {name}: {ready} of {held} keys are left to give out"
            _log.log(logging.WARNING if name in low else logging.INFO, message)
            changes.append(occurred(self._now_us(), "group.low", SERVICE, outcome, message=message))
        now_us, gone = (
            self._now_us(),
            {"group.low": self._low - groups, "group.refill": self._unfilled - groups},
        )
        for event, name in ((event, name) for event, names in gone.items() for name in sorted(names)):
            changes.append(occurred(now_us, event, SERVICE, message=f"group {name}: it has been removed"))
        self._low = low
        self._unfilled &= groups
        await self._commit(changes)

    async def _commit(self, changes: list[Change]) -> None:
        if changes:
            await self._store.commit(changes)


async def _tried(part: Coroutine[Any, Any, None]) -> None:
    """Do a part of the upkeep; log it if it fails, unless the store has: StoreFailed."""
    try:
        await part
    except StoreFailed:
        raise
    except Exception:
        _log.exception("a part of the upkeep failed")
