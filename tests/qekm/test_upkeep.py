"""What the service does by itself, when a part of it fails."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from qekm.allocator import Allocator
from qekm.audit import Strangers
from qekm.errors import Incident, StoreFailed
from qekm.model import Change, Group, Key, KeyState, OnExhaustion
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


def upkeep(store: Picky, calls: list[str]) -> tuple[Upkeep, Estate]:
    """Return the upkeep of an estate whose groups a and b have used their keys up."""
    estate = Estate()
    estate.groups += [Group(name, OnExhaustion.REFILL, False, 1) for name in "ab"]
    estate.build()
    for group in "ab":
        for key in estate.keystore.generate(2, group):
            estate.keystore.assign(key, 1, ("1", b"", ""))
    certificates = SimpleNamespace(refresh_server=lambda: calls.append("renewed"))
    owners: Any = SimpleNamespace(
        serving=estate.serving,
        keystore=estate.keystore,
        allocator=Allocator(estate.groups, estate.keystore, lambda: estate.now),
        certificates=certificates,
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
