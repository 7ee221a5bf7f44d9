"""Stores that somebody put together who can write the file and has its earlier copies, but no key."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import combinations
from pathlib import Path

_PAGE = 4_096
_PAGES = 100  # pairs of pages that change places
_UNSIGNED = ("estate", "alembic_version")


def forge(store: Path, earlier: Path, folder: Path, dice: random.Random) -> int:
    """Write every forgery to a file of its own in the folder, named 0, 1, …; return how many."""
    count = 0
    for statement in _statements(store, earlier):
        place = folder / str(count)
        shutil.copy(store, place)
        with closing(sqlite3.connect(place, isolation_level=None)) as connection:
            connection.execute("ATTACH ? AS old", (str(earlier),))
            changed = connection.execute(statement).rowcount
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        count += changed > 0  # else the next one takes its place
    for content in _swapped(store.read_bytes(), dice):
        (folder / str(count)).write_bytes(content)
        count += 1
    shutil.copy(earlier, folder / str(count))
    return count + 1


def _statements(store: Path, earlier: Path) -> Iterator[str]:
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("ATTACH ? AS old", (str(earlier),))
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        ]
        for table in sorted({*names} - {*_UNSIGNED}):
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
            rows = [row for (row,) in connection.execute(f'SELECT rowid FROM "{table}" ORDER BY rowid')]
            yield from _taken_away(table, rows)
            yield from _put_back(table, columns, rows)
            for one, other in list(combinations(rows, 2))[:3]:
                yield from _exchanged(table, columns, one, other)


def _taken_away(table: str, rows: list[int]) -> Iterator[str]:
    for row in rows[-5:]:
        yield f'DELETE FROM "{table}" WHERE rowid = {row}'
    yield f'DELETE FROM "{table}"'


def _put_back(table: str, columns: list[str], rows: list[int]) -> Iterator[str]:
    """Yield what makes a row, or all, as they were; UPDATE, so that a row that is the same is no attempt."""
    names = ", ".join(f'"{name}"' for name in columns)
    for row in rows:
        differs = f'({names}) IS NOT (SELECT {names} FROM old."{table}" WHERE rowid = {row})'
        there = f'EXISTS (SELECT 1 FROM old."{table}" WHERE rowid = {row})'
        old = f'SELECT {names} FROM old."{table}" WHERE rowid = {row}'
        yield f'UPDATE main."{table}" SET ({names}) = ({old}) WHERE rowid = {row} AND {there} AND {differs}'


def _exchanged(table: str, columns: list[str], one: int, other: int) -> Iterator[str]:
    """Yield exchanges of one column between two rows whose values differ; those of a primary key fail."""
    pair, sum_ = f"({one}, {other})", one + other
    for name in columns[1:]:
        value = f'(SELECT "{name}" FROM "{table}" AS o WHERE o.rowid = {sum_} - t.rowid)'
        where = f'rowid IN {pair} AND "{name}" IS NOT {value}'
        yield f'UPDATE OR IGNORE "{table}" AS t SET "{name}" = {value} WHERE {where}'


def _swapped(content: bytes, dice: random.Random) -> Iterator[bytes]:
    """Yield the file with two of its pages exchanged, both of which hold something."""
    pages = [content[start : start + _PAGE] for start in range(0, len(content), _PAGE)]
    full = [place for place, page in enumerate(pages) if place and any(page[100:])]
    pairs = list(combinations(full, 2))
    for one, other in dice.sample(pairs, min(len(pairs), _PAGES)):
        swapped = list(pages)
        swapped[one], swapped[other] = pages[other], pages[one]
        yield b"".join(swapped)
