"""The journal as others read it: what was changed after what, each shared row once, as it is now.

A row's entry moves to the end with each change, so everything after a place is at the same time what is new,
what somebody who was away missed, and, from the start, the whole estate. Reading may be done from any thread.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Connection, Result, Select, bindparam, func, or_, select

from qekm.errors import StoreDamaged
from qekm.model import Entry, KeyState
from qekm.sealing.seals import Seals
from qekm.store import tables
from qekm.store.ledger import Sum
from qekm.store.shared import SHARED, PrimaryKey, Shared, is_shared, place_of, row_at

BUCKETS = 64  # parts of a table, for whoever looks for the rows in which two stores differ
_CHUNK = 500  # primary keys in one statement
_UNUSED = (int(KeyState.GENERATED), int(KeyState.READY))
_SEQUENCE = tables.journal.c.sequence
_PAGE = (  # made once, as _rows_of: pages are read all the time
    select(tables.journal).where(bindparam("after") < _SEQUENCE).order_by(_SEQUENCE).limit(bindparam("most"))
)


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the journal with the row that it names; `values` are in the order of the shared columns."""

    sequence: int
    table: str
    key: PrimaryKey
    stamp_us: int
    origin: bytes
    removed: bool
    values: tuple[Any, ...]  # of a removed row its primary key only

    @property
    def entry(self) -> Entry:
        """Return what the journal says of the change."""
        return Entry(self.table, self.key, self.stamp_us, self.origin, self.removed)


def page(connection: Connection, after: int, limit: int) -> list[Line]:
    """Return at most `limit` lines beyond a place, in order; StoreDamaged for an entry without a row."""
    return _lines(connection, connection.execute(_PAGE, {"after": after, "most": limit}))


def of_tables(connection: Connection, names: Iterable[str]) -> list[Line]:
    """Return the lines of whole tables, in order; StoreDamaged for an entry without a row."""
    columns = tables.journal.c
    heads = [place_of(name, 0)[:-9] for name in names]
    wanted = or_(*(func.substr(columns.place, 1, len(head)) == head for head in heads))
    query = select(tables.journal).where(wanted).order_by(columns.sequence)
    return _lines(connection, connection.execute(query))


def _lines(connection: Connection, journal: Result[Any]) -> list[Line]:
    found = [(*row_at(row.place), row) for row in journal]
    wanted: dict[str, list[PrimaryKey]] = defaultdict(list)
    for table, key, row in found:
        if not row.removed:
            wanted[table].append(key)
    rows = {
        (name, values[0]): values
        for name, keys in wanted.items()
        for values in values_of(connection, name, keys)
    }
    lines = []
    for table, key, row in found:
        values = (key,) if row.removed else rows.get((table, key))
        if values is None:
            raise StoreDamaged(f"the journal names a row that is not there: {table} {key!r}")
        lines.append(
            Line(row.sequence, table, key, row.stamp_us, row.origin, bool(row.removed), tuple(values))
        )
    return lines


def entries(connection: Connection) -> Iterator[Entry]:
    """Yield what is known of every shared row but uses of keys, which are never changed."""
    columns = tables.journal.c
    uses = place_of(tables.cartridges.name, 0)[:-8]
    query = select(tables.journal).where(func.substr(columns.place, 1, len(uses)) != uses)
    for row in connection.execute(query):
        table, key = row_at(row.place)
        yield Entry(table, key, row.stamp_us, row.origin, bool(row.removed))


def missing(connection: Connection, table: str) -> list[PrimaryKey]:
    """Return the primary keys of a table, in order, whose rows are not in the journal yet."""
    column = SHARED[table].table.primary_key.columns[0]
    keys = connection.execute(select(column).order_by(column)).scalars()
    head = place_of(table, 0)[:-9]
    places = select(tables.journal.c.place).where(func.substr(tables.journal.c.place, 1, len(head)) == head)
    there = set(connection.execute(places).scalars())
    return [key for key in keys if is_shared(table, key) and place_of(table, key) not in there]


def unheld(connection: Connection, acknowledged: int, origin: bytes) -> int:
    """Return the lowest created_seq of an unused key of an instance that changed after a place, or 0."""
    columns = tables.keys.c
    unused = select(columns.key_id, columns.created_seq).where(
        columns.state.in_(_UNUSED), columns.origin == origin
    )
    order = {place_of(tables.keys.name, row.key_id): row.created_seq for row in connection.execute(unused)}
    places = sorted(order, key=lambda place: order[place])
    for start in range(0, len(places), _CHUNK):
        part = tables.journal.c.place.in_(places[start : start + _CHUNK])
        late = select(tables.journal.c.place).where(part, tables.journal.c.sequence > acknowledged)
        found = [order[place] for place in connection.execute(late).scalars()]
        if found:
            return int(min(found))
    return 0


def macs(connection: Connection, table: str) -> Iterator[tuple[PrimaryKey, bytes]]:
    """Yield primary key and MAC of every shared row of a table."""
    shared = SHARED[table]
    column = shared.table.primary_key.columns[0]
    for key, mac in connection.execute(select(column, shared.table.c.mac)):
        if is_shared(table, key):
            yield key, mac


def bucket_of(table: str, key: PrimaryKey) -> int:
    """Return the part of its table that a row is in."""
    return hashlib.sha256(place_of(table, key)).digest()[0] % BUCKETS


def bucket_sums(connection: Connection, seals: Seals, table: str) -> list[Sum]:
    """Return what the rows of each part of a table make together."""
    sums = [Sum()] * BUCKETS
    for key, mac in macs(connection, table):
        bucket = bucket_of(table, key)
        sums[bucket] = sums[bucket].changed(1, seals.element(mac))
    return sums


def row_macs(connection: Connection, table: str, bucket: int) -> dict[PrimaryKey, bytes]:
    """Return the MACs of the rows of one part of a table."""
    return {key: mac for key, mac in macs(connection, table) if bucket_of(table, key) == bucket}


def values_of(connection: Connection, name: str, keys: Sequence[PrimaryKey]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of these primary keys, those that are there, in any order."""
    query = _rows_of(name)
    for start in range(0, len(keys), _CHUNK):
        for row in connection.execute(query, {"wanted": keys[start : start + _CHUNK]}):
            yield tuple(row)


@cache
def _rows_of(name: str) -> Select[Any]:
    """Return what reads rows of a table."""
    shared: Shared = SHARED[name]
    columns = [shared.table.c[column] for column in shared.columns]
    return select(*columns).where(columns[0].in_(bindparam("wanted", expanding=True)))
