"""What is committed at one server is at the others, whatever was cut in between, and nothing else ever is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qekm.errors import PeerRefused
from qekm.model import Change, Drive, DriveState, PeerState, Removal
from qekm.replication.conversation import WINDOW
from qekm.replication.messages import Acknowledgement, Batch, Heartbeat, Hello, Message
from qekm.store import Store
from tests.qekm.replication.sites import PATIENCE_S, Estate, Site, are_same, estate, make_key, refusals, until


def drive(serial: str, vendor: str = "IBM") -> Drive:
    """Return a drive's entry."""
    return Drive(serial, DriveState.ACCEPTED, 1, vendor=vendor)


def keys(site: str, first: int, last: int) -> Sequence[Change]:
    """Return keys of a server."""
    return [make_key(number, site) for number in range(first, last + 1)]


async def linked(made: Estate) -> tuple[Site, Site]:
    """Return the two servers once they are linked."""
    a, b = made.sites["a"], made.sites["b"]
    await until(lambda: a.links.connected and b.links.connected)
    return a, b


async def test_what_is_committed_at_one_server_is_at_the_other(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = await linked(made)
        await a.commit(*keys("a", 1, 300), drive("1"), drive("2"))
        await b.commit(*keys("b", 301, 600))
        await until(lambda: are_same(a, b) and a.rows()["keys"].rows == 600)
        assert await a.links.told(a.store.journal_end)
        assert await b.links.told(b.store.journal_end)
        await b.commit(Removal(Drive, "1"), drive("2", "HP"))
        await until(lambda: are_same(a, b) and a.rows()["drives"].rows == 1)
        assert [found.vendor for found in a.store.load().drives] == ["HP"]


async def test_what_a_server_has_to_say_is_not_known_before_its_first_sign_of_life(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = await linked(made)
        await until(lambda: a.links.are_complete)
        link = a.links._link("b")
        link.begin(Hello("b", b.peers.instance, 1, b"", "", "", ()), link.acknowledged, link.cursor.received)
        assert a.links.connected
        assert not a.links.are_complete
        await until(lambda: a.links.are_complete)


async def test_what_came_from_a_server_is_not_sent_back_to_it(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = await linked(made)
        await until(lambda: are_same(a, b))
        await a.commit(*keys("a", 1, 100))
        await until(lambda: are_same(a, b))
        await asyncio.wait_for(b.links.told(b.store.journal_end), PATIENCE_S)
        assert not [line for line in a.merging.taken if line.table == "keys"]
        status = b.links.status("a")
        assert status is not None and (status.lag_records, status.behind_records) == (0, 0)


async def test_what_was_missed_in_a_cut_is_caught_up_and_what_waits_is_told(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = await linked(made)
        wire = made.wire("a", "b")
        await until(lambda: are_same(a, b))
        wire.break_()
        await until(lambda: not a.links.connected)
        await a.commit(*keys("a", 1, 200))
        await b.commit(*keys("b", 201, 400), drive("1"))
        assert not await a.links.told(a.store.journal_end)
        status = a.links.status("b")
        assert status is not None and not status.connected and status.lag_records >= 200
        assert status.lag_seconds > 0
        wire.cut = False
        await until(lambda: are_same(a, b) and a.rows()["keys"].rows == 400)
        await until(lambda: a.links.acknowledged == a.store.journal_end)
        status = a.links.status("b")
        assert status is not None and (status.lag_records, status.lag_seconds) == (0, 0.0)


async def test_a_server_that_restarts_goes_on_where_it_was(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = await linked(made)
        await a.commit(*keys("a", 1, 200))
        await until(lambda: are_same(a, b))
        await made.end("b")
        await a.commit(*keys("a", 201, 300))
        b = await made.begin("b")
        await until(lambda: are_same(a, b))
        assert {line.key for line in b.merging.taken} == {key.key_id for key in keys("a", 201, 300)}  # type: ignore[union-attr]


async def test_stopped_in_the_middle_nothing_is_lost(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = await linked(made)
        for start in range(1, 1_001, 200):
            await a.commit(*keys("a", start, start + 199))
            await asyncio.sleep(0.02)
            await made.end("b")
            b = await made.begin("b")
        await until(lambda: are_same(a, b) and b.rows()["keys"].rows == 1_000)


async def test_a_change_reaches_a_third_server_through_the_second(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        made.wire("a", "c").cut = True
        peer = made.rows[0]
        third = replace(peer, name="c", address="c:443", instance=b"c.......", join_time_us=9)
        made.rows.append(third)
        a, b = await linked(made)
        await a.commit(third)
        await until(lambda: are_same(a, b))
        b.peers.take(third)  # as merging does
        c = await made.begin("c")
        await a.commit(*keys("a", 1, 50), drive("1"))
        await c.commit(*keys("c", 51, 100))
        await until(lambda: are_same(a, b, c) and c.rows()["keys"].rows == 100)


async def test_while_nothing_is_acknowledged_few_batches_are_under_way(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = await linked(made)
        wire, sent = made.wire("a", "b"), list[Batch]()
        await until(lambda: all(each.links.acknowledged == each.store.journal_end for each in (a, b)))

        def tamper(message: Message) -> Sequence[Message]:
            sent.extend([message] if isinstance(message, Batch) and message.rows else [])
            return [] if isinstance(message, Acknowledgement) else [message]

        wire.tamper = tamper
        await a.commit(*keys("a", 1, 2_000))
        await until(lambda: len(sent) >= WINDOW)
        await asyncio.sleep(0.5)
        assert len(sent) == WINDOW
        wire.tamper = lambda message: [message]
        wire.break_()
        wire.cut = False
        await until(lambda: are_same(a, b))


class Slow:
    """A store whose commits of others' rows are known to be durable only once it may say so."""

    def __init__(self, store: Store) -> None:
        self._store, self.may_say = store, asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def submit_stamped(self, units: Sequence[Sequence[Change]]) -> asyncio.Task[Any]:
        """Commit, and tell of it later."""
        return asyncio.create_task(self._late(self._store.submit_stamped(units)))

    async def _late(self, commit: asyncio.Future[Any]) -> Any:
        await self.may_say.wait()
        return await commit


async def test_what_another_stream_has_brought_is_acknowledged_when_it_is_on_the_disk(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = await linked(made)
        await a.commit(*keys("a", 1, 50))
        await until(lambda: are_same(a, b) and a.links.acknowledged == a.store.journal_end)
        slow = Slow(b.store)
        b.links._ground = replace(b.links._ground, store=slow)
        link = b.links._link("a")
        link.cursor, wire = replace(link.cursor, received=0), made.wire("a", "b")
        wire.break_()
        wire.cut = False
        await until(lambda: a.links._link("b").connected and len(b.merging.taken) >= 100)
        await asyncio.sleep(0.2)
        assert a.links.acknowledged < a.store.journal_end
        slow.may_say.set()
        await until(lambda: a.links.acknowledged == a.store.journal_end)


async def test_the_newest_stream_of_a_server_holds(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = await linked(made)
        await until(lambda: are_same(a, b))
        former = a.links._streams["b"]
        async with made._dial("b", "a:443") as pipe:
            task = asyncio.create_task(b.links._serve(b.links._link("a"), pipe, calling=True))
            await until(lambda: a.links._streams.get("b", former) is not former)
            assert former[0].done()
            await a.commit(*keys("a", 1, 10))
            await until(lambda: are_same(a, b))
            task.cancel()
            await asyncio.wait([task])


async def test_a_peer_that_falls_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qekm.replication.streaming.SILENCE_S", 1.5)
    async with estate(tmp_path, "a", "b") as made:
        a, b = await linked(made)
        made.wire("a", "b").tamper = lambda message: [] if isinstance(message, Heartbeat) else [message]
        await until(lambda: "silent" in _error(a, "b") or "silent" in _error(b, "a"))
        made.wire("a", "b").tamper = lambda message: [message]
        await until(lambda: a.links.connected and b.links.connected)


def _error(site: Site, name: str) -> str:
    status: Any = site.links.status(name)
    return str(status.last_error)


async def test_a_server_that_was_removed_is_let_go_and_refused(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = await linked(made)
        removed = replace(made.rows[1], state=PeerState.REMOVED)
        a.peers.take(removed)
        await a.commit(removed)
        await until(lambda: not a.links.connected and a.links.refused > 0)
        assert a.links.status("b") is None
        await until(lambda: ("server/b", PeerRefused.reason()) in refusals(a))
        await until(lambda: "refuses this one" in _error(b, "a"))
        assert b.links.refused == 0
