"""The journal of shared rows, on real files."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from qekm.model import (
    Cartridge,
    Change,
    Drive,
    DriveState,
    Entry,
    Group,
    KeyState,
    Removal,
    Setting,
    Vault,
)
from qekm.store import INSTANCE, SHARED, Line, Store
from qekm.store.journal import BUCKETS, bucket_of
from qekm.store.ledger import Sum
from qekm.store.shared import is_shared, place_of, row_at
from qekm.store.stamps import Stamps
from tests.qekm.store.material import SIGNER, create, make_key, make_record, unlock

ME, OTHER = b"\1" * 8, b"\2" * 8
DRIVE = Drive("D", DriveState.ACCEPTED, 1)
USE = Cartridge("V", "A", "D", b"", 1)
MINE = Setting(INSTANCE, ME.hex())


async def opened(path: Path) -> Store:
    store = Store.open(path, unlock)
    store.start(SIGNER.sign, lambda error: None)
    return store


def told(lines: list[Line]) -> list[tuple[str, object]]:
    return [(line.table, line.key) for line in lines]


@given(st.sampled_from(sorted(SHARED)), st.text() | st.binary() | st.integers(0, 2**63 - 1))
def test_a_place_names_one_row(table: str, key: str | bytes | int) -> None:
    assert row_at(place_of(table, key)) == (table, key)


def test_without_peers_nothing_is_noted(tmp_path: Path) -> None:
    async def work() -> None:
        store = await opened(create(tmp_path, MINE))
        await store.commit([make_key(1), DRIVE, USE])
        assert (store.journal_end, store.journal_page(0, 9), store.journaling) == (0, [], False)
        store.close()

    asyncio.run(work())


def test_what_was_there_is_noted_parents_first_and_what_changes_moves_to_the_end(tmp_path: Path) -> None:
    async def work() -> None:
        store = await opened(
            create(tmp_path, MINE, make_key(1), DRIVE, USE, Vault("audit", b"s", b""), Vault("x", b"s", b""))
        )
        await store.begin_journal()
        names = [table for table, _ in told(store.journal_page(0, 99))]
        assert names == ["vaults", "groups", "keys", "drives", "cartridges"]  # but the vault of our own trail
        assert all((line.stamp_us, line.origin) == (1, ME) for line in store.journal_page(0, 99))
        end = store.journal_end
        await store.commit([replace(DRIVE, vendor="IBM"), make_record("r"), USE, Removal(Group, "other")])
        drive, use, group = store.journal_page(end, 9)
        assert (drive.values[4], use.values[1]) == ("IBM", "V")
        assert (group.removed, group.values) == (True, ("other",))
        assert use.key == use.values[0] > 1
        assert drive.stamp_us > 1
        assert len(store.journal_page(0, 99)) == len(names) + 2  # a use and what was removed; all others once
        store.close()
        again = await opened(tmp_path / "store" / "qekm.db")
        assert again.journaling
        assert again.journal_end == store.journal_end
        await again.commit([DRIVE])
        assert told(again.journal_page(store.journal_end, 9)) == [("drives", "D")]
        assert again.scrub(lambda rows: None).require().root == again._ledger.root
        again.close()

    asyncio.run(work())


def test_a_journal_that_a_crash_cut_off_is_filled_at_the_next_start(tmp_path: Path) -> None:
    async def work() -> None:
        path = create(tmp_path, MINE, *[make_key(number) for number in range(30)])
        store = await opened(path)
        await store.commit([Setting("journal", "filling")])
        store.close()
        store = await opened(path)
        await store.commit([make_key(3, KeyState.ACTIVE, 5)])
        await store.begin_journal()
        lines = store.journal_page(0, 99)
        assert len({line.key for line in lines if line.table == "keys"}) == 30
        assert [line.stamp_us > 1 for line in lines if line.table == "keys"].count(True) == 1
        end = store.journal_end
        await store.begin_journal()
        assert store.journal_end == end
        store.close()

    asyncio.run(work())


def test_rows_of_another_server_keep_its_entries_and_its_numbers(tmp_path: Path) -> None:
    async def work() -> None:
        store = await opened(create(tmp_path, MINE))
        await store.begin_journal()
        number = (1_790_000_000_000 << 21) | 5
        use = replace(USE, id=number)
        unit: list[Change] = [
            use,
            Entry("cartridges", number, 7, OTHER),
            DRIVE,
            Entry("drives", "D", 8, OTHER),
        ]
        for _ in range(2):  # the second time there is nothing new in it but the drive's entry
            assert await store.submit_stamped([unit]) == [None]
        lines = store.journal_page(1, 9)
        assert [(line.table, line.stamp_us, line.origin) for line in lines] == [
            ("cartridges", 7, OTHER),
            ("drives", 8, OTHER),
        ]
        assert [row for row, _ in store.cartridges_page(0, 9)] == [number]
        assert store.scrub(lambda rows: None).require().uses == {5: number}
        store.close()

    asyncio.run(work())


def test_two_stores_with_the_same_shared_rows_make_the_same_sums(tmp_path: Path) -> None:
    async def work() -> None:
        rows: list[Change] = [make_key(1), make_key(2), DRIVE, replace(USE, id=(1 << 41) + 5)]
        one = await opened(create(tmp_path / "one", MINE))
        other = await opened(create(tmp_path / "other", Setting(INSTANCE, OTHER.hex()), Setting("own", "x")))
        for row in rows:
            await one.commit([row])
        await other.commit([*reversed(rows)])
        await other.commit([Vault("audit", b"s", b""), make_record("r")])
        assert one.shared[1] == other.shared[1]
        assert one.bucket_sums("keys") == other.bucket_sums("keys")
        assert sum(each.rows for each in one.bucket_sums("keys")) == 2
        await other.commit([make_key(2, KeyState.ACTIVE, 3)])
        assert {name for name in SHARED if one.shared[1].get(name) != other.shared[1].get(name)} == {"keys"}
        key = make_key(2).key_id
        differing = [
            bucket
            for bucket in range(BUCKETS)
            if one.bucket_sums("keys")[bucket] != other.bucket_sums("keys")[bucket]
        ]
        assert differing == [bucket_of("keys", key)]
        (bucket,) = differing
        assert one.row_macs("keys", bucket)[key] != other.row_macs("keys", bucket)[key]
        again = one.scrub(lambda rows: None).require()
        assert dict(again.root.shared) == dict(one.shared[1])
        one.close()
        other.close()

    asyncio.run(work())


def test_an_unused_key_that_the_other_has_not_is_found(tmp_path: Path) -> None:
    async def work() -> None:
        keys = [replace(make_key(number, KeyState.GENERATED), origin=ME) for number in range(1, 6)]
        theirs = replace(make_key(9, KeyState.GENERATED), origin=OTHER)
        store = await opened(create(tmp_path, MINE, *keys[:2]))
        await store.begin_journal()
        end = store.journal_end
        assert store.unheld(end, ME) == 0
        await store.commit([*keys[2:], theirs])
        assert store.unheld(end, ME) == keys[2].created_seq
        assert store.unheld(store.journal_end, ME) == 0
        assert store.unheld(0, ME) == keys[0].created_seq
        await store.commit([replace(keys[2], state=KeyState.ACTIVE, version=2)])
        assert store.unheld(end, ME) == keys[3].created_seq
        store.close()

    asyncio.run(work())


def test_who_waits_is_told_of_commits_that_the_journal_tells_of(tmp_path: Path) -> None:
    async def work() -> None:
        store = await opened(create(tmp_path, MINE))
        ends: list[int] = []
        store.on_commit.append(lambda: ends.append(store.journal_end))
        await store.commit([DRIVE])
        await store.begin_journal()
        filled = store.journal_end
        await store.commit([Setting("own", "x"), make_record("r")])
        await store.commit([DRIVE])
        while not ends or ends[-1] == filled:
            await asyncio.sleep(0.01)
        assert filled in ends
        assert ends[-1] == filled + 1
        assert len(ends) == len(set(ends))
        store.close()

    asyncio.run(work())


def test_a_later_stamp_wins_and_of_two_at_once_the_greater_origin() -> None:
    now = [100]
    stamps = Stamps(ME, lambda: now[0])
    stamps.see(Entry("drives", "D", 100, ME))
    assert not stamps.wins("drives", "D", 99, OTHER)
    assert not stamps.wins("drives", "D", 100, ME)
    assert stamps.wins("drives", "D", 100, OTHER)
    assert stamps.wins("drives", "E", 1, ME)
    assert stamps.wins("drives", "D", 101, b"")


def test_stamps_are_later_than_all_that_were_seen_whatever_the_clock_says() -> None:
    now = [1_000]
    stamps = Stamps(ME, lambda: now[0])
    stamps.see(Entry("drives", "D", 5_000, OTHER))
    first = stamps.next()
    now[0] = 10
    assert [first, stamps.next()] == [5_001, 5_002]
    now[0] = 9_000
    assert stamps.next() == 9_000


def test_what_is_a_servers_own_is_not_shared() -> None:
    assert not is_shared("vaults", "audit")
    assert is_shared("vaults", "authority")
    for own in ("settings", "slots", "approvals", "backups", "cursors", "journal", "roots", "audit"):
        assert not is_shared(own, "x")


def test_a_unit_gets_an_entry_behind_each_shared_change() -> None:
    stamps = Stamps(ME, lambda: 5)
    unit: list[Change] = [
        Setting("a", "b"),
        DRIVE,
        make_record("r"),
        Removal(Drive, "E"),
        Vault("audit", b"", b""),
    ]
    stamped = stamps.stamped(unit)
    assert [each for each in stamped if not isinstance(each, Entry)] == unit
    assert [each for each in stamped if isinstance(each, Entry)] == [
        Entry("drives", "D", 5, ME),
        Entry("drives", "E", 6, ME, removed=True),
    ]
    assert Sum().changed(1, -1).sum == 2**256 - 1
