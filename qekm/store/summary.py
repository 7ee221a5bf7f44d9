"""What a store holds, counted by the database: of a span of the trail, of the keys, of the cartridges.

Each question is one short transaction on a connection of its own, and one statement that Python does not wait
for in its interpreter's lock. The trail only grows: questions up to one place of it agree with each other.
Call from a thread; raises StoreDamaged, StoreFailed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Select, func, select

from qekm.errors import StoreDamaged
from qekm.model import KeyState, Outcome
from qekm.store import tables
from qekm.store.chain import Link
from qekm.store.engine import translated
from qekm.store.nouns import link_of

_audit, _keys, _cartridges = tables.audit.c, tables.keys.c, tables.cartridges.c
_HAPPENED = func.sum(_audit.count)  # a record of strangers stands for many


@dataclass(frozen=True, slots=True)
class Span:
    """Records of a time, up to a place of the trail; times in microseconds, the second one excluded.

    first, last: places between which all of them lie, 0 if there are none; records: how many they are.
    earliest_us: the lowest of their times, which are not in order where a clock was set back.
    """

    since_us: int
    until_us: int
    first: int
    last: int
    records: int
    earliest_us: int


@dataclass(frozen=True, slots=True)
class Happened:
    """How often an event came to an outcome in one interval of time, since_us // width."""

    interval: int
    event: str
    outcome: Outcome
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class Top:
    """The most frequent names, and how many more there are."""

    names: tuple[tuple[str, int], ...]
    more: int


@dataclass(frozen=True, slots=True)
class Made:
    """How many keys of a group and a state were made in one interval of time."""

    group: str
    state: KeyState
    interval: int
    count: int


@dataclass(frozen=True, slots=True)
class Several:
    """A key that was written to several cartridges, and when."""

    alias: str
    cartridges: int
    first_us: int
    last_us: int


class Summary:
    """What can be counted of a store while it is served."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # The trail.

    def first_us(self) -> int:
        """Return the time of the first record of all; 0 for an empty trail."""
        query = select(_audit.time_us).order_by(_audit.sequence).limit(1)
        with self._look() as connection:
            return int(connection.execute(query).scalar() or 0)

    def span(self, since_us: int, until_us: int, head: int) -> Span:
        """Return what lies in a time, of the records up to the place `head`."""
        found = (
            *(func.min(_audit.sequence), func.max(_audit.sequence)),
            *(func.count(), func.min(_audit.time_us)),
        )
        within = _audit.sequence <= head, _audit.time_us >= since_us, _audit.time_us < until_us
        with self._look() as connection:
            first, last, records, earliest_us = connection.execute(select(*found).where(*within)).one()
        return Span(since_us, until_us, first or 0, last or 0, records, earliest_us or until_us)

    def happened(self, span: Span, width_us: int) -> list[Happened]:
        """Return what happened in a span, interval by interval of so many microseconds."""
        places = _audit.time_us // width_us, _audit.event, _audit.outcome, _audit.code
        query = select(*places, _HAPPENED).where(*_within(span)).group_by(*places)
        with self._look() as connection:
            rows = connection.execute(query).all()
        with _sensible("audit"):
            return [Happened(row[0], row[1], Outcome(row[2]), row[3], row[4]) for row in rows]

    def failing(self, span: Span, column: str, most: int) -> Top:
        """Return whose failures were the most, by actor or drive_serial; records without one are left out."""
        name = _audit[column]
        query = (
            select(name, _HAPPENED, func.count().over())
            .where(*_within(span), _audit.outcome == int(Outcome.FAILURE), name != "")
            .group_by(name)
            .order_by(_HAPPENED.desc(), name)
            .limit(most)
        )
        with self._look() as connection:
            rows = connection.execute(query).all()
        return Top(tuple((row[0], row[1]) for row in rows), rows[0][2] - len(rows) if rows else 0)

    def of_drives(self, span: Span, events: Collection[str]) -> list[tuple[str, str, int]]:
        """Return drive, event and how often, of drives that had proved who they are."""
        places = _audit.drive_serial, _audit.event
        query = (
            select(*places, _HAPPENED)
            .where(*_within(span), _audit.event.in_(events), _audit.actor.startswith("drive/"))
            .group_by(*places)
        )
        with self._look() as connection:
            return [(row[0], row[1], row[2]) for row in connection.execute(query)]

    def acts(self, span: Span, events: Collection[str], most: int) -> tuple[list[Link], int]:
        """Return the newest records of some events that are no mere intents, and how many more there are."""
        chosen = *_within(span), _audit.event.in_(events), _audit.outcome != int(Outcome.INTENT)
        query = select(tables.audit).where(*chosen).order_by(_audit.sequence.desc()).limit(most)
        with self._look() as connection:
            rows = connection.execute(query).all()
            count = len(rows)
            if count == most:
                count = connection.execute(select(func.count()).where(*chosen)).scalar_one()
        with _sensible("audit"):
            return [link_of(row) for row in rows], count - len(rows)

    # What there is now.

    def made(self, width_us: int) -> list[Made]:
        """Return how many keys there are by group, state and the time of their making."""
        places = _keys.group, _keys.state, _keys.create_time_us // width_us
        query = select(*places, func.count()).group_by(*places)
        with self._look() as connection:
            rows = connection.execute(query).all()
        with _sensible("keys"):
            return [Made(row[0], KeyState(row[1]), row[2], row[3]) for row in rows]

    def spread(self) -> list[tuple[int, int]]:
        """Return to how many cartridges keys were written, and how many keys to so many."""
        each = _spread(_cartridges.alias).subquery().c
        query = select(each.cartridges, func.count()).group_by(each.cartridges).order_by(each.cartridges)
        with self._look() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def several(self, most: int) -> list[Several]:
        """Return keys that were written to several cartridges, those with the most first."""
        times = func.min(_cartridges.write_time_us), func.max(_cartridges.write_time_us)
        number = func.count(_cartridges.volser.distinct())
        query = _spread(_cartridges.alias, *times).having(number > 1)
        query = query.order_by(number.desc(), _cartridges.alias).limit(most)
        with self._look() as connection:
            return [Several(row[0], row[1], row[2], row[3]) for row in connection.execute(query)]

    def cartridges(self) -> int:
        """Return how many different volume serials there are."""
        query = select(func.count(_cartridges.volser.distinct()))
        with self._look() as connection:
            return int(connection.execute(query).scalar_one())

    @contextmanager
    def _look(self) -> Iterator[Connection]:
        with translated(), self._engine.connect() as connection:
            yield connection


def _within(span: Span) -> Sequence[ColumnElement[bool]]:
    """Return the conditions of a span: its places, which the table is ordered by, and its times."""
    return (
        _audit.sequence.between(span.first, span.last),
        _audit.time_us >= span.since_us,
        _audit.time_us < span.until_us,
    )


def _spread(alias: ColumnElement[str], *more: ColumnElement[Any]) -> Select[Any]:
    number = func.count(_cartridges.volser.distinct()).label("cartridges")
    return select(alias, number, *more).group_by(alias)


@contextmanager
def _sensible(table: str) -> Iterator[None]:
    """Turn a number that means nothing into StoreDamaged."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise StoreDamaged(f"table {table} holds a row that cannot be", table=table) from error
