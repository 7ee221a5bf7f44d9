"""What the service does by itself, when a part of it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from qekm.allocator import Allocator
from qekm.audit import Strangers
from qekm.errors import Incident, StoreFailed
from qekm.model import AuditRecord, Change, Group, Key, KeyState, OnExhaustion, Outcome
from qekm.upkeep import Upkeep
from tests.fakes.estate import Estate

DAY_US = 86_400 * 1_000_000


class Picky:
    """A store that takes no key of some groups."""

    def __init__(self, refused: Sequence[str], error: type[Exception]) -> None:
        self.refused, self.error = refused, error
        self.units: list[Sequence[Change]] = []

    async def commit(self, changes: Sequence[Change]) -> None:
        """Keep a unit, or refuse it."""
        if any(isinstance(change, Key) and change.group in self.refused for change in changes):
            raise self.error("no")
        self.units.append(changes)


class Slow(Picky):
    """A store that others have a turn beside."""

    async def commit(self, changes: Sequence[Change]) -> None:
        """Keep a unit, later."""
        await asyncio.sleep(0)
        await super().commit(changes)


def upkeep(store: Picky, calls: list[str], used: int = 2) -> tuple[Upkeep, Estate]:
    """Return the upkeep of an estate whose groups a and b have used their keys up."""
    estate = Estate()
    estate.groups += [Group(name, OnExhaustion.REFILL, False, 1) for name in "ab"]
    estate.build()
    for group in "ab":
        for key in estate.keystore.generate(used, group):
            estate.keystore.assign(key, 1, ("1", b"", ""))
    certificates = SimpleNamespace(refresh_server=lambda: calls.append("renewed"))
    owners: Any = SimpleNamespace(
        serving=estate.serving,
        keystore=estate.keystore,
        allocator=Allocator(estate.groups, estate.keystore, lambda: estate.now),
        certificates=certificates,
        registry=estate.registry,
    )
    made = Upkeep(owners, Strangers(), store, lambda: calls.append("published"), lambda: estate.now)
    estate.now += DAY_US
    return made, estate


async def test_a_group_that_cannot_be_refilled_stops_neither_the_others_nor_the_renewal() -> None:
    calls: list[str] = []
    store = Picky(["a"], Incident)
    made, estate = upkeep(store, calls)
    await made.tick()
    assert calls == ["renewed", "published"]
    assert {change.group for unit in store.units for change in unit if isinstance(change, Key)} == {"b"}
    assert estate.keystore.counts("b")[KeyState.READY] == 2


async def test_of_two_looks_at_once_one_fills_the_pools_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qekm.upkeep.BATCH", 1)  # a pool takes several commits
    store = Slow([], Incident)
    made, estate = upkeep(store, [], used=10)
    await asyncio.gather(made.tick(), made.tick())
    assert [estate.keystore.counts(group)[KeyState.READY] for group in "ab"] == [10, 10]


async def test_a_group_that_cannot_be_refilled_is_told_of_once_and_when_it_can_again() -> None:
    store = Picky([], Incident)
    made, estate = upkeep(store, [])
    generate = estate.keystore.generate

    def fails(count: int, group: str) -> list[Key]:
        raise Incident("the token is away")

    estate.keystore.generate = fails  # type: ignore[method-assign]
    for _ in range(2):
        await made.tick()
    estate.keystore.generate = generate  # type: ignore[method-assign]
    for _ in range(2):
        await made.tick()
    rows = [row for unit in store.units for row in unit if isinstance(row, AuditRecord)]
    refills = [row for row in rows if row.event == "group.refill"]
    told = [(row.message, row.outcome) for row in refills if row.message.startswith("group a:")]
    assert told == [
        ("group a: the token is away", Outcome.FAILURE),
        ("group a: keys are made again", Outcome.SUCCESS),
    ]


@pytest.mark.parametrize("days", [2, -2])
async def test_the_renewal_is_looked_at_when_the_date_was_set(days: int) -> None:
    calls: list[str] = []
    made, estate = upkeep(Picky([], Incident), calls)
    await made.tick()
    await made.tick()
    assert calls == ["renewed", "published"]
    estate.now += days * DAY_US
    await made.tick()
    assert calls == ["renewed", "published"] * 2


async def test_expiring_sessions_that_fail_do_not_stop_the_pools() -> None:
    calls: list[str] = []
    store = Picky([], Incident)
    made, estate = upkeep(store, calls)

    def fails() -> tuple[Change, ...]:
        raise ArithmeticError

    estate.serving.expire = fails  # type: ignore[method-assign]
    await made.tick()
    assert estate.keystore.counts("b")[KeyState.READY] == 2
    assert calls == ["renewed", "published"]


async def test_a_store_that_failed_ends_the_upkeep() -> None:
    calls: list[str] = []
    made, _ = upkeep(Picky(["a"], StoreFailed), calls)
    with pytest.raises(StoreFailed):
        await made.tick()
    assert calls == []


def told(store: Picky) -> list[tuple[str, str, str]]:
    """Return outcome, actor and message of every record of a group that is low, or well again."""
    return [
        (change.outcome.name, change.actor, change.message)
        for unit in store.units
        for change in unit
        if isinstance(change, AuditRecord) and change.event == "group.low"
    ]


async def test_a_group_that_becomes_low_is_told_once_and_once_more_when_it_is_well_again() -> None:
    store = Picky([], Incident)
    made, estate = upkeep(store, [])
    estate.groups.append(Group("c", OnExhaustion.REFUSE, False, 1))
    estate.build()
    made._allocator = Allocator(estate.groups, estate.keystore, lambda: estate.now)
    made._keystore = estate.keystore
    keys = estate.keystore.generate(10, "c")
    for key in keys[:7]:
        estate.keystore.assign(key, 1, ("1", b"", ""))
    await made.tick()
    assert told(store) == []
    estate.keystore.assign(keys[7], 1, ("1", b"", ""))
    for _ in range(3):
        await made.tick()
    low = ("FAILURE", "server", "group c: 2 of 10 keys are left to give out")
    assert told(store) == [low]
    estate.keystore.assign(keys[8], 1, ("1", b"", ""))  # still low: nothing new
    await made.tick()
    estate.keystore.generate(10, "c")
    for _ in range(3):
        await made.tick()
    assert told(store) == [low, ("SUCCESS", "server", "group c: 11 of 20 keys are left to give out")]


async def test_a_refilled_group_is_low_only_while_the_refilling_cannot_keep_up() -> None:
    store = Picky(["a"], Incident)
    made, _ = upkeep(store, [])
    await made.tick()
    assert [message for _, _, message in told(store)] == [], "keys were made, on this disk or not"
    made, estate = upkeep(store := Picky([], Incident), [])
    estate.keystore._first_state = KeyState.GENERATED  # they wait for a backup
    for _ in range(3):
        await made.tick()
    assert [message for _, _, message in told(store)] == [
        "group a: 0 of 4 keys are left to give out",
        "group b: 0 of 4 keys are left to give out",
    ]
    estate.keystore.protect(estate.keystore.created_seq)
    await made.tick()
    assert [outcome for outcome, _, _ in told(store)] == ["FAILURE", "FAILURE", "SUCCESS", "SUCCESS"]


async def test_a_group_that_was_removed_is_low_no_more_and_one_that_reuses_is_never_low() -> None:
    store = Picky([], Incident)
    made, estate = upkeep(store, [])
    estate.keystore.freeze("an old copy")  # nothing is refilled
    await made.tick()
    assert len(told(store)) == 2
    del made._allocator._groups["a"]
    made._allocator._groups["b"] = Group("b", OnExhaustion.REUSE, False, 1)
    await made.tick()
    ended = [(outcome, message) for outcome, _, message in told(store)[2:]]
    assert ended[1] == ("SUCCESS", "group a: it has been removed") and ended[0][0] == "SUCCESS"
    await made.tick()
    assert len(told(store)) == 4


async def test_a_group_that_no_keys_could_be_made_for_is_told_of_no_more_once_it_was_removed() -> None:
    made, estate = upkeep(store := Picky([], Incident), [])

    def fails(count: int, group: str) -> list[Key]:
        raise Incident("the token is away")

    estate.keystore.generate = fails  # type: ignore[method-assign]
    await made.tick()
    del made._allocator._groups["a"]
    await made.tick()
    rows = [row for unit in store.units for row in unit if isinstance(row, AuditRecord)]
    ended = [row.message for row in rows if row.event == "group.refill" and row.outcome is Outcome.SUCCESS]
    assert ended == ["group a: it has been removed"]
