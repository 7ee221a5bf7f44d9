"""One commit into a store that no service has open: for the programs that change a stopped key manager."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from qekm.estate import Estate
from qekm.model import Change
from qekm.store import Store


def commit(store: Store, estate: Estate, changes: Sequence[Change]) -> None:
    """Commit one unit, durable when this returns; the store is to be closed next. StoreFailed, Incident."""

    async def run() -> None:
        """Start the writer and commit."""
        store.start(estate.audit_key.sign, lambda _error: None)  # a failure is raised by the commit
        await store.commit(changes)

    asyncio.run(run())
