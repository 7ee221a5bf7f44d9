"""A journal that is begun while drives work, by more than one, or again after it was cut off."""

from __future__ import annotations

import asyncio
from pathlib import Path

from qekm.model import Cartridge, Setting
from qekm.store import FILLING, INSTANCE, JOURNAL, Store
from qekm.store.shared import SHARED
from tests.qekm.store.material import create
from tests.qekm.store.test_journal import ME, MINE, OTHER, opened

USES = 2_500  # more than go into one commit of the filling
BEGAN_US = 1_790_000_000_000_000


def use(number: int) -> Cartridge:
    return Cartridge(f"V{number}", "A", "D", b"", BEGAN_US + number * 1_000)


async def used(path: Path) -> Store:
    """Return a store that was used before it had any peer."""
    store = await opened(path)
    store.submit([[use(number)] for number in range(USES)])
    await store.commit([])
    return store


def numbers(store: Store) -> list[object]:
    return [line.key for line in store.journal_page(0, 10 * USES) if line.table == "cartridges"]


async def check_whole(store: Store, path: Path) -> None:
    """A peer takes everything in the order of the journal, and the store opens again."""
    told = numbers(store)
    assert told == sorted(set(told))  # type: ignore[type-var]
    peer = await opened(create(path / "peer", Setting(INSTANCE, OTHER.hex())))
    await peer.begin_journal()
    lines = [line for line in store.journal_page(0, 10 * USES) if line.table == "cartridges"]
    peer.submit_stamped([[SHARED[line.table].of_row(line.values), line.entry] for line in lines])
    await peer.commit([])
    assert peer.shared[1]["cartridges"] == store.shared[1]["cartridges"]
    assert store.scrub(lambda rows: None).require().root == store._ledger.root
    peer.close()
    store.close()
    (await opened(path / "store" / "qekm.db")).close()


def test_uses_that_are_counted_meanwhile_come_behind_older_ones(tmp_path: Path) -> None:
    async def work() -> None:
        store = await used(create(tmp_path, MINE))
        filling, count = asyncio.create_task(store.begin_journal()), USES
        while not filling.done():
            await store.commit([use(count)])
            count += 1
        await filling
        await store.commit([use(count)])
        assert count > USES
        assert len(numbers(store)) == count + 1
        await check_whole(store, tmp_path)

    asyncio.run(work())


def test_two_who_begin_it_at_once_note_each_row_once(tmp_path: Path) -> None:
    async def work() -> None:
        store = await used(create(tmp_path, MINE))
        await asyncio.gather(store.begin_journal(), store.begin_journal())
        assert len(numbers(store)) == USES
        await check_whole(store, tmp_path)

    asyncio.run(work())


def test_who_begins_it_again_after_a_call_that_was_given_up_notes_each_row_once(tmp_path: Path) -> None:
    async def work() -> None:
        store = await used(create(tmp_path, MINE))
        given_up = asyncio.create_task(store.begin_journal())
        while not numbers(store):
            await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.wait([given_up])
        await store.begin_journal()
        assert len(numbers(store)) == USES
        await check_whole(store, tmp_path)

    asyncio.run(work())


def test_uses_of_a_filling_that_a_crash_cut_off_are_noted_at_the_next(tmp_path: Path) -> None:
    async def work() -> None:
        path = create(tmp_path, MINE)
        store = await used(path)
        await store.commit([Setting(JOURNAL, FILLING)])
        store.close()
        store = await opened(path)
        await store.commit([use(USES)])
        assert numbers(store) == []
        store.close()
        store = await opened(path)
        await store.begin_journal()
        await store.commit([use(USES + 1)])
        assert len(numbers(store)) == USES + 2
        assert store.stamps is not None
        assert store.stamps.origin == ME
        await check_whole(store, tmp_path)

    asyncio.run(work())
