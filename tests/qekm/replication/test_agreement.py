"""Two servers whose rows differ for good give no new keys until they are the same; nothing else does that."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qekm.model import Drive, DriveState, Group, OnExhaustion
from qekm.replication import inquiring
from qekm.replication.agreement import DIVERGED
from tests.qekm.replication.sites import Site, are_same, estate, make_key, until

A = Group("archive", OnExhaustion.REFUSE, False, 1)
B = Group("archive", OnExhaustion.REUSE, False, 1)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inquiring, "LOOK_S", 0.05)


async def falsify(site: Site, *nouns: Any) -> None:
    """Change rows behind the journal's back, as only a fault would."""
    (error,) = await site.store.submit_stamped([list(nouns)])
    assert error is None


def events(site: Site, name: str) -> list[str]:
    """Return what the trail says of an event."""
    return [link.record.message for link in site.store.iterate_audit() if link.record.event == name]


def differences(site: Site, name: str) -> tuple[str, ...]:
    """Return the rows that a server knows to differ."""
    status = site.links.status(name)
    assert status is not None
    return status.differences


async def test_equal_stores_are_found_to_be_the_same_by_themselves(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.sites["b"]
        await a.commit(A, *(make_key(number, "a") for number in range(1, 100)))

        def compared(site: Site, name: str) -> bool:
            status = site.links.status(name)
            return status is not None and status.compare_time_us > 0

        await until(lambda: compared(a, "b") and compared(b, "a"))
        await until(lambda: all(each.store.load().cursors[0].compare_time_us for each in (a, b)))
        assert (a.pool.read_only, b.pool.read_only) == ("", "")
        assert not events(a, "peer.diverge") and not events(a, "peer.agree")


async def test_rows_that_differ_stop_both_and_are_named_and_remembered(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.sites["b"]
        await a.commit(A)
        await until(lambda: are_same(a, b))
        await falsify(b, B, Drive("1", DriveState.ACCEPTED, 1))
        await a.links.compare()
        assert differences(a, "b") == ("drives 1", "groups archive")
        await until(lambda: b.pool.read_only != "" and bool(events(b, "peer.diverge")))
        assert differences(b, "a") == differences(a, "b")
        for site in (a, b):
            assert "1 of drives, 1 of groups (drives 1, groups archive)" in site.pool.read_only
            assert len(events(site, "peer.diverge")) == 1
        await made.end("b")
        b = await made.begin("b")
        assert "groups archive" in b.pool.read_only
        assert differences(b, "a") == ("drives 1", "groups archive")
        await until(lambda: a.links.connected)
        await b.links.compare()
        assert len(events(b, "peer.diverge")) == 1


async def test_a_repair_makes_rows_what_they_are_where_it_was_asked_for(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.sites["b"]
        await a.commit(A, Drive("2", DriveState.ACCEPTED, 1))
        await until(lambda: are_same(a, b))
        await falsify(b, B)
        await b.links.compare()
        await until(lambda: a.pool.read_only != "" and b.pool.read_only != "")
        await b.commit(Drive("3", DriveState.ACCEPTED, 1))
        await a.links.compare(repair=True)
        await until(lambda: are_same(a, b) and not a.pool.read_only and not b.pool.read_only)
        found = {group.name: group for group in b.store.load().groups}
        assert found["archive"] == A
        assert [bool(each.settings[DIVERGED]) for each in (a, b)] == [False, False]
        await until(lambda: len(events(a, "peer.agree")) == len(events(b, "peer.agree")) == 1)


async def test_a_repair_is_heard_whoever_of_the_two_has_called(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.sites["b"]
        await until(lambda: are_same(a, b) and a.links.connected and b.links.connected)
        for asked, other in ((a, "b"), (b, "a")) * 2:
            await asked.links.compare(repair=True)
            assert differences(asked, other) == ()


async def test_another_reason_to_give_no_keys_outlives_an_agreement(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.sites["b"]
        await a.commit(A)
        await until(lambda: are_same(a, b))
        a.pool.freeze("it may be an old copy")
        await falsify(b, B)
        await a.links.compare()
        await a.links.compare(repair=True)
        await until(lambda: not b.pool.read_only)
        assert a.pool.read_only == "it may be an old copy"


async def test_what_is_under_way_is_no_difference(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.sites["b"]
        await until(lambda: a.links.connected and b.links.connected)
        ended = asyncio.Event()

        async def work(site: Site, first: int) -> None:
            number = first
            while not ended.is_set():
                number += 1
                await site.commit(
                    make_key(number, site.name), Drive(str(number % 7), DriveState.ACCEPTED, number)
                )
                await asyncio.sleep(0.02)  # a comparison's answers come in between

        tasks = [asyncio.create_task(work(a, 0)), asyncio.create_task(work(b, 100_000))]
        for _ in range(3):
            await asyncio.gather(a.links.compare(), b.links.compare())
        ended.set()
        await asyncio.gather(*tasks)
        assert (a.pool.read_only, b.pool.read_only) == ("", "")
        await until(lambda: are_same(a, b))


async def test_control_what_was_taken_without_being_kept_is_found(tmp_path: Path) -> None:
    class Forgetful:
        def __init__(self, store: Any) -> None:
            self.taken: list[Any] = []

        def take(self, line: Any) -> list[Any]:
            """Lose it."""
            self.taken.append(line)
            return []

    async with estate(tmp_path, "a") as made:
        peers = made.rows
        other = replace(peers[0], name="b", address="b:443", instance=b"b.......", join_time_us=2)
        made.rows.append(other)
        a = made.sites["a"]
        a.peers.take(other)
        b = await made.begin("b", merging=Forgetful)
        await a.commit(A)
        await until(lambda: "groups archive" in a.pool.read_only)
        assert "groups archive" in b.pool.read_only
