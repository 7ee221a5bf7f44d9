"""The conversation about how far servers are: this one tells, and hears what it told others once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from qekm.audit import SERVICE, occurred
from qekm.checkpoints import Checkpoints
from qekm.estate import BEHIND
from qekm.keystore import Keystore
from qekm.model import Change, Checkpoint, Outcome, Removal, Setting
from qekm.store import Link, Witness

_log = logging.getLogger(__name__)

EVERY_US = 10_000_000


class Rows(Protocol):
    """The store, as far as this needs it (qekm.store.Store)."""

    behind: str

    @property
    def journaling(self) -> bool:
        """Tell whether what is changed is kept for peers."""

    @property
    def witness(self) -> Witness:
        """Return where the store is."""

    def audit_page(self, after_sequence: int, limit: int, *, newest_first: bool) -> list[Link]:
        """Return links of the trail."""

    async def commit(self, changes: Sequence[Change]) -> None:
        """Make a unit durable; StoreFailed."""


class Checkpointing:
    """Tells every ten seconds, where something happened; made and run in one event loop."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        store: Rows,
        keystore: Keystore,
        settings: dict[str, str],
        now_us: Callable[[], int],
    ) -> None:
        """settings: the store's own."""
        self._checkpoints, self._store, self._keystore = checkpoints, store, keystore
        self._settings, self._now_us = settings, now_us
        self._told_us = 0
        self._news: list[Change] = []
        self._heard: Checkpoint | None = None  # of this server, not yet held against its trail
        if checkpoints.own is not None:
            self.heard(checkpoints.own)  # a crash may have come before it was remembered what was heard

    async def tick(self) -> None:
        """Tell if it is time, and remember what was heard; StoreFailed."""
        await self._hold()
        news, self._news = self._news, []
        if news:
            await self._store.commit(news)
        if not 0 <= self._now_us() - self._told_us < EVERY_US:  # the clock may have been set back
            self._told_us = self._now_us()
            await self.tell()

    async def tell(self) -> None:
        """Tell how far this server is, if there is anything new and anybody to tell. StoreFailed."""
        store = self._store
        if not store.journaling or self._keystore.read_only:
            return
        witness = store.witness
        head = await asyncio.to_thread(store.audit_page, 0, 1, newest_first=True)
        if head and head[0].signature and self._checkpoints.is_due(head[0].sequence):
            await store.commit([self._checkpoints.tell(witness, head[0], self._now_us())])

    def heard(self, row: Checkpoint | Removal) -> None:
        """Take what another server says; give no new keys if it knows more of this store than this store."""
        if not isinstance(row, Checkpoint):
            return
        self._checkpoints.take(row)
        if row is self._checkpoints.own:
            self._heard = row
        if reason := self._checkpoints.behind(self._store.witness):
            self.doubt(reason)

    async def _hold(self) -> None:
        """Hold the trail against what was told of it: a copy that went on by itself has another one.

        By then it may have as many commits as this server ever had, and so be behind in nothing.
        """
        row, self._heard = self._heard, None
        if row is None:
            return
        there = await asyncio.to_thread(self._store.audit_page, row.sequence - 1, 1, newest_first=False)
        if [(each.sequence, each.hash) for each in there] != [(row.sequence, row.hash)]:
            self.doubt(
                f"another server knows another record {row.sequence:,} of this server's trail: "
                "there are two copies of this server, or this one is an old copy"
            )

    def doubt(self, reason: str) -> None:
        """Give no new keys until somebody adopts the store, now and after every start: it is an old copy."""
        if self._settings.get(BEHIND):
            return
        _log.error("READ ONLY: %s", reason)
        self._keystore.freeze(reason)
        self._settings[BEHIND] = reason
        self._news += (
            Setting(BEHIND, reason),
            occurred(self._now_us(), "store.behind", SERVICE, Outcome.FAILURE, message=reason),
        )
