"""Find out whether two stores are the same: whole tables first, then parts of them, then rows.

The side that asks does the thinking; the other one answers each question from its disk and remembers nothing.
Rows are changed meanwhile, so a row that differs is only looked at again: if both sides still have the very
same two versions when each has all that the other had at the first look, nothing under way could mend it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import groupby
from typing import Protocol

from qekm.replication.columns import Columns
from qekm.replication.messages import BucketSum, Comparison, RowSum, Tables, TableSum
from qekm.sealing import KeyRing
from qekm.store import SHARED, Line, PrimaryKey

LOOKS = 3  # in which a row must differ in the same way
MOST_LOOKS = 60  # after which nothing was found out: too much is under way
_MOST_ROWS = 40_000  # in one answer; 2.5 MB
_PAGE = 1_000
_BUCKETS = 64
_NO_SUM = bytes(32)

Place = tuple[str, PrimaryKey]
Pair = tuple[bytes, bytes]  # MACs here and there; empty where there is no such row
Macs = dict[PrimaryKey, bytes]


class _Sum(Protocol):
    @property
    def rows(self) -> int: ...
    @property
    def sum(self) -> int: ...


class Rows(Protocol):
    """The store, as far as a comparison reads it."""

    @property
    def ring(self) -> KeyRing:
        """Return what makes the MACs of rows."""

    @property
    def shared(self) -> tuple[int, Mapping[str, _Sum]]:
        """Return the journal's end and what each shared table is there."""

    def bucket_sums(self, table: str) -> Sequence[_Sum]:
        """Return what the parts of a table are; from a thread."""

    def row_macs(self, table: str, bucket: int) -> Macs:
        """Return primary keys and MACs of the rows of one part; from a thread."""

    def journal_page(self, after: int, limit: int) -> list[Line]:
        """Return lines of the journal; from a thread."""


class Sums:
    """What this store is, in the terms of a comparison with one other server; reads from a thread.

    Of a table whose columns are not the same on both sides only those count that both have; such a table is
    compared row by row, in the time of an upgrade.
    """

    def __init__(self, store: Rows, own: Tables, columns: Columns) -> None:
        self._store, self._own, self._columns = store, dict(own), columns
        self._partly: dict[str, Macs] = {}

    def look(self) -> tuple[int, tuple[TableSum, ...]]:
        """Return the journal's end and the sums of all tables that both have."""
        sequence, shared = self._store.shared
        same = self._columns.same
        self._partly = self._read(set(self._columns.common) - same)
        sums = [TableSum(name, *_of(shared.get(name))) for name in sorted(same)]
        parts = [TableSum(name, len(macs), self._total(macs)) for name, macs in sorted(self._partly.items())]
        return sequence, (*sums, *parts)

    def buckets(self, table: str) -> list[BucketSum]:
        """Return the sums of the parts of a table."""
        if table in self._partly:
            return [BucketSum(table, 0, self._total(self._partly[table]))]
        if table not in self._columns.same:
            return []
        sums = self._store.bucket_sums(table)
        return [BucketSum(table, place, _of(each)[1]) for place, each in enumerate(sums)]

    def rows(self, table: str, bucket: int) -> Macs:
        """Return the rows of a part of a table."""
        if table in self._partly:
            return self._partly[table] if bucket == 0 else {}
        return self._store.row_macs(table, bucket) if table in self._columns.same else {}

    def _read(self, tables: set[str]) -> dict[str, Macs]:
        """Make the MACs of rows of tables over the columns that both sides have, in the order of names."""
        found: dict[str, Macs] = {table: {} for table in tables}
        after = 0
        while tables and (page := self._store.journal_page(after, _PAGE)):
            after = page[-1].sequence
            for line in page:
                if line.table in tables and not line.removed:
                    found[line.table][line.key] = self._mac(line)
        return found

    def _mac(self, line: Line) -> bytes:
        names = self._own[line.table]
        places = sorted(self._columns.common[line.table], key=lambda place: names[place])
        return self._store.ring.seals.row(line.table, [line.values[place] for place in places])

    def _total(self, macs: Macs) -> bytes:
        element = self._store.ring.seals.element
        return (sum(map(element, macs.values())) % (1 << 256)).to_bytes(32)

    def answer(self, asked: Comparison) -> Comparison:
        """Return the answer to a question about tables, about parts, or about the rows of parts."""
        if any(each.sum == b"" for each in asked.buckets):
            return self._answer_rows(asked)
        if asked.buckets:
            theirs = {(each.table, each.bucket): each.sum for each in asked.buckets}
            tables = sorted({each.table for each in asked.buckets})
            own = [each for table in tables for each in self.buckets(table)]
            differ = tuple(each for each in own if theirs.get((each.table, each.bucket)) != each.sum)
            return Comparison(asked.number, True, buckets=differ)
        sequence, tables_ = self.look()
        return Comparison(asked.number, True, tables=tables_, sequence=sequence)

    def _answer_rows(self, asked: Comparison) -> Comparison:
        rows: list[RowSum] = []
        told: list[BucketSum] = []
        for each in asked.buckets:
            found = self.rows(each.table, each.bucket)
            if told and len(rows) + len(found) > _MOST_ROWS:
                break
            rows += [RowSum(each.table, key, mac) for key, mac in found.items()]
            told.append(each)
        return Comparison(asked.number, True, buckets=tuple(told), rows=tuple(rows))


Ask = Callable[[Comparison], Awaitable[Comparison]]


class Comparing:
    """One comparison, by the side that asks."""

    def __init__(self, number: int, sums: Sums, ask: Ask, has_all: Callable[[int, int], bool]) -> None:
        """Take how to ask. has_all: whether the peer has our journal to one place, and we its to another."""
        self._number, self._sums, self._ask, self._has_all = number, sums, ask, has_all
        self._marks: tuple[int, int] | None = None

    async def run(self, pause: Callable[[], Awaitable[None]]) -> tuple[Place, ...] | None:
        """Return the rows that differ for good; None if it was not found out.

        pause: waits a second between two looks.
        """
        seen: dict[Place, tuple[Pair, int]] = {}
        for _ in range(MOST_LOOKS):
            counts = self._marks is None or self._has_all(*self._marks)
            found = await self._look()
            if not found:
                return ()
            if counts:
                former, seen = seen, {}
                for place, pair in found.items():
                    before, times = former.get(place, (pair, 0))
                    seen[place] = pair, times + 1 if before == pair else 1
                stable = [place for place, (_, times) in seen.items() if times >= LOOKS]
                if stable:
                    return tuple(sorted(stable, key=named))
            await pause()
        return None

    async def _look(self) -> dict[Place, Pair]:
        """Return the rows that differ now; some of them, if they are many."""
        sequence, own = await asyncio.to_thread(self._sums.look)
        theirs = await self._ask(Comparison(self._number, tables=own, sequence=sequence))
        if self._marks is None:
            self._marks = sequence, theirs.sequence
        known = {each.table: (each.rows, each.sum) for each in theirs.tables}
        tables = [each.table for each in own if known.get(each.table, (0, _NO_SUM)) != (each.rows, each.sum)]
        if not tables:
            return {}
        parts = await self._parts(tables)
        return await self._rows(parts) if parts else {}

    async def _parts(self, tables: list[str]) -> list[tuple[str, int]]:
        """Return the parts that differ."""
        parts: list[tuple[str, int]] = []
        for table in tables:
            own = await asyncio.to_thread(self._sums.buckets, table)
            theirs = await self._ask(Comparison(self._number, buckets=tuple(own)))
            parts += [(table, each.bucket) for each in theirs.buckets if 0 <= each.bucket < _BUCKETS]
        return parts

    async def _rows(self, parts: list[tuple[str, int]]) -> dict[Place, Pair]:
        asked = tuple(BucketSum(table, bucket, b"") for table, bucket in parts)
        answer = await self._ask(Comparison(self._number, buckets=asked))
        theirs = {(each.table, each.key): each.mac for each in answer.rows if each.key is not None}
        told = [(each.table, each.bucket) for each in answer.buckets]
        own = await asyncio.to_thread(self._own, [part for part in parts if part in told])
        return {
            place: pair
            for place in own.keys() | theirs.keys()
            if (pair := (own.get(place, b""), theirs.get(place, b"")))[0] != pair[1]
        }

    def _own(self, parts: list[tuple[str, int]]) -> dict[Place, bytes]:
        return {
            (table, key): mac for table, part in parts for key, mac in self._sums.rows(table, part).items()
        }


def _of(found: _Sum | None) -> tuple[int, bytes]:
    return (found.rows, found.sum.to_bytes(32)) if found is not None else (0, _NO_SUM)


def named(place: Place) -> str:
    """Return the name of a row for people."""
    table, key = place
    return f"{table} {key.hex() if isinstance(key, bytes) else key}"


def in_short(differences: Sequence[str], most: int = 5) -> str:
    """Return rows that differ in a few words: some of them, and how many there are of each table."""
    counts = {name: len(list(each)) for name, each in groupby(differences, lambda each: each.split(" ")[0])}
    many = ", ".join(f"{count:,} of {name}" for name, count in counts.items())
    return f"{many} ({', '.join(differences[:most])}{', …' if len(differences) > most else ''})"


def tables_of_store() -> Tables:
    """Return the shared tables of this program, with their columns."""
    return tuple((name, shared.columns) for name, shared in SHARED.items())


def blank_of_store(table: str, column: str) -> int | str | bytes:
    """Return what a column of this program's holds in a row that was made by one that does not know it."""
    kind: type[int | str | bytes] = SHARED[table].table.c[column].type.python_type
    return kind()
