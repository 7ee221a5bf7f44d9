"""How a row of another server's table becomes a row of ours, whichever of the two programs is newer. Pure.

Two releases may serve one estate. What only the other knows is left out; what only we know keeps the value
that it has here, so that an edit by the older program loses nothing of the newer one's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from qekm.errors import BatchRefused
from qekm.replication.messages import Row, Tables, Value
from qekm.store import Line, PrimaryKey

Present = Mapping[tuple[str, PrimaryKey], Sequence[Value]]  # rows that are here, of tables that lack columns
Blank = Callable[[str, str], Value]  # what a column has that nobody ever set


class Columns:
    """The tables of one other server, beside ours."""

    def __init__(self, own: Tables, theirs: Tables, blank: Blank) -> None:
        """Compare them; BatchRefused for what no tables are."""
        self._own, self._theirs, self._blank = dict(own), theirs, blank
        known = dict(theirs)
        if len(known) != len(theirs) or any(
            len(set(names)) != len(names) or not names for _, names in theirs
        ):
            raise BatchRefused("a table or a column is named twice, or has no columns")
        if any(name in known and known[name][0] != names[0] for name, names in own):
            raise BatchRefused("a table has another primary key than here")
        self._places = {
            name: [known[name].index(column) if column in known[name] else -1 for column in names]
            for name, names in own
            if name in known
        }

    @property
    def common(self) -> dict[str, tuple[int, ...]]:
        """Return per table that both have the places, in our rows, of the columns that both have."""
        return {
            name: tuple(place for place, found in enumerate(places) if found >= 0)
            for name, places in self._places.items()
        }

    @property
    def same(self) -> frozenset[str]:
        """Return the tables whose columns are the same on both sides, in the same order."""
        theirs = dict(self._theirs)
        return frozenset(name for name, names in self._own.items() if theirs.get(name) == names)

    def lacking(self, rows: Iterable[Row]) -> dict[str, list[PrimaryKey]]:
        """Return the primary keys of rows that lack columns of ours, by table."""
        wanted: dict[str, list[PrimaryKey]] = {}
        for row in rows:
            table = self._table(row)
            if not row.removed and row.values and -1 in self._places.get(table, ()):
                wanted.setdefault(table, []).append(_key(row))
        return wanted

    def line(self, row: Row, present: Present) -> Line | None:
        """Return a row as ours; None for one of a table that is not known here. BatchRefused."""
        table = self._table(row)
        names, places = self._theirs[row.table][1], self._places.get(table)
        if len(row.values) != (1 if row.removed else len(names)):
            raise BatchRefused(f"a row of table {table} has {len(row.values)} values", table=table)
        if places is None:
            return None
        key, values = _key(row), row.values
        if not row.removed and -1 in places:
            values = self._filled(table, row, places, present.get((table, key)))
        elif not row.removed:
            values = tuple([values[place] for place in places])
        return Line(row.sequence, table, key, row.stamp_us, row.origin, row.removed, values)

    def _filled(
        self, table: str, row: Row, places: Sequence[int], here: Sequence[Value] | None
    ) -> tuple[Value, ...]:
        kept = here or [self._blank(table, column) for column in self._own[table]]
        return tuple(row.values[found] if found >= 0 else kept[own] for own, found in enumerate(places))

    def _table(self, row: Row) -> str:
        if not 0 <= row.table < len(self._theirs):
            raise BatchRefused(f"a row is of table {row.table}, which was not named")
        return self._theirs[row.table][0]


def _key(row: Row) -> PrimaryKey:
    key = row.values[0] if row.values else None
    if key is None:
        raise BatchRefused("a row has no primary key")
    return key
