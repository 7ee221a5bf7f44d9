"""The conversation that makes keys READY once a peer has them; or backups, while none is there for long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from qekm.audit import SERVICE, occurred
from qekm.keystore import Keystore
from qekm.model import Change, KeyState, Outcome
from qekm.protection import Protection

_log = logging.getLogger(__name__)

BATCH = 1_024  # keys that become READY in one commit: a whole pool


class Links(Protocol):
    """The links to all peers (qekm.replication.links)."""

    @property
    def connected(self) -> bool:
        """Tell whether any peer is connected."""

    @property
    def acknowledged(self) -> int:
        """Return up to which place in the journal some peer has everything on its disk."""


class Rows(Protocol):
    """The store, as far as this needs it (qekm.store.Store)."""

    @property
    def journaling(self) -> bool:
        """Tell whether what is changed is kept for peers."""

    async def commit(self, changes: Sequence[Change]) -> None:
        """Make a unit durable; StoreFailed."""

    def unheld(self, acknowledged: int, origin: bytes) -> int:
        """Return the first unused key that was changed behind a place in the journal, 0 for none."""


class Protecting:
    """Looks every second; made and run in one event loop."""

    def __init__(
        self,
        protection: Protection,
        keystore: Keystore,
        store: Rows,
        links: Links,
        is_low: Callable[[], bool],
        away_s: Callable[[], float],
        clocks: tuple[Callable[[], int], Callable[[], float]],
    ) -> None:
        """is_low: whether few keys are left. away_s: what is long without a peer. clocks: now, steady."""
        self._protection, self._keystore, self._store, self._links = protection, keystore, store, links
        self._is_low, self._away_s = is_low, away_s
        self._now_us, self._steady_s = clocks
        self._seen_s = self._steady_s()

    async def tick(self) -> None:
        """Make READY what may be used by now; StoreFailed."""
        await self._judge()
        if not self._keystore.few(KeyState.GENERATED, 1):
            return
        if self._protection.waits_for_peer and self._links.acknowledged:
            await self._find_held()
        while ready := self._protection.due(BATCH):
            await self._store.commit(ready)

    async def _judge(self) -> None:
        """Have backups count once no peer was there for long; tell of it once."""
        if self._links.connected:
            self._seen_s = self._steady_s()
        is_away = self._steady_s() - self._seen_s >= self._away_s()
        if not self._protection.substitute(is_away, is_away and self._is_low()):
            return
        if self._protection.is_substituted:
            outcome, what = Outcome.FAILURE, "no peer for long, and few keys are left: backups count instead"
        else:
            outcome, what = Outcome.SUCCESS, "new keys are at a peer again before they are used"
        _log.log(logging.ERROR if outcome is Outcome.FAILURE else logging.INFO, what)
        await self._store.commit(
            [occurred(self._now_us(), "peer.substitute", SERVICE, outcome, message=what)]
        )

    async def _find_held(self) -> None:
        """Find out up to which key a peer has all of them.

        What is in memory only would look as if nothing of it was missing: what was made is committed first.
        """
        if not self._store.journaling:
            return
        newest = self._keystore.created_seq
        await self._store.commit(())
        first = await asyncio.to_thread(
            self._store.unheld, self._links.acknowledged, self._protection.instance
        )
        self._protection.held(first - 1 if first else newest)
