"""A write that stands still is seen; long work between two transactions is none."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from sqlalchemy import Connection

from qekm.store import Store
from tests.qekm.store.material import SIGNER, create, make_record, unlock


async def until(seen: threading.Event) -> None:
    assert await asyncio.to_thread(seen.wait, 60)


async def stand_still(directory: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def block(_: object = None) -> bool:
        begun.set()
        return go_on.wait(60)

    def sign(message: bytes) -> bytes:
        block()
        return SIGNER.sign(message)

    store = Store.open(create(directory), unlock)
    store.start(sign, lambda error: None)
    try:
        assert store.underway_s == 0
        written = store.submit([[make_record("stuck")]])
        await until(begun)
        before = store.underway_s
        await asyncio.sleep(0.05)
        assert 0 < before < store.underway_s
        go_on.set()
        await written
        go_on.clear()
        begun.clear()

        def work(_: Connection) -> bool:
            return block()

        errand = asyncio.create_task(store._run(work))
        await until(begun)
        assert store.underway_s == 0
        go_on.set()
        assert await errand
    finally:
        go_on.set()
        store.close()


def test_a_transaction_that_stands_still_is_seen_and_an_errand_is_none(tmp_path: Path) -> None:
    asyncio.run(stand_still(tmp_path))
