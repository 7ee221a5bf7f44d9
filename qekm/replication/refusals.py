"""Streams that were refused, as the trail has them: one record, and one a minute for those that follow."""

from __future__ import annotations

import asyncio

from qekm.audit import Strangers
from qekm.errors import QekmError
from qekm.replication.ground import Ground
from qekm.replication.link import Link
from qekm.text import as_line


class Refusals:
    """Counts them, and has them recorded."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._strangers = ground, Strangers("peer.refuse")
        self.count = 0  # of whomever

    def add(self, link: Link, error: QekmError) -> None:
        """Count one of this server."""
        link.refused += 1
        self.count += 1
        now_us, who = self._ground.now_us(), f"server/{link.name}"
        if records := self._strangers.refuse(now_us, who, error.reason(), as_line(error.message)):
            self._ground.store.submit([records])

    def flush(self) -> None:
        """Record those of a minute that is over."""
        if records := self._strangers.flush(self._ground.now_us()):
            self._ground.store.submit([records])

    async def close(self) -> None:
        """Record the rest, if anything is still written."""
        if records := self._strangers.drain():
            await asyncio.wait([self._ground.store.submit([records])])
