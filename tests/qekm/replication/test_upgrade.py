"""One server of this release and one of the next: both serve, neither loses what only the newer one knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qekm.model import Change, Drive, DriveState
from qekm.replication import inquiring
from qekm.replication.comparing import blank_of_store, tables_of_store
from qekm.replication.conversation import Own
from qekm.replication.links import SCHEMA
from qekm.replication.messages import Tables
from qekm.store import Line, Store
from tests.qekm.replication.sites import Latest, estate, instance_of, make_key, until

NEXT: Tables = (
    *((name, (*columns, "colour") if name == "drives" else columns) for name, columns in tables_of_store()),
    ("owners", ("name", "telephone")),
)


class Next:
    """The store of a server of the next release, whose drives have colours, and what it does with rows."""

    def __init__(self, store: Store) -> None:
        self._store, self._latest = store, Latest(store)
        self.taken = self._latest.taken
        self.colours: dict[Any, str] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def take(self, line: Line) -> Sequence[Change]:
        """Keep the colour beside the row."""
        if line.table == "drives" and not line.removed:
            self.colours[line.key] = line.values[-1]
            line = replace(line, values=line.values[:-1])
        return self._latest.take(line)

    def journal_page(self, after: int, limit: int) -> list[Line]:
        """Return lines with colours."""
        return [
            replace(line, values=(*line.values, self.colours[line.key])) if line.table == "drives" else line
            for line in self._store.journal_page(after, limit)
        ]

    def shared_rows(self, table: str, keys: Sequence[Any]) -> list[Any]:
        """Return rows with colours."""
        rows = self._store.shared_rows(table, keys)
        return [(*row, self.colours[row[0]]) for row in rows] if table == "drives" else rows


def drive(serial: str, vendor: str = "IBM") -> Drive:
    return Drive(serial, DriveState.ACCEPTED, 1, vendor=vendor)


async def test_an_edit_by_the_older_one_loses_nothing_of_the_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inquiring, "LOOK_S", 0.05)
    async with estate(tmp_path, "a", "b") as made:
        await made.end("b")
        made_next: list[Next] = []

        def both(store: Store) -> Next:
            made_next.append(Next(store))
            return made_next[-1]

        def blank(table: str, column: str) -> Any:
            return "grey" if column == "colour" else blank_of_store(table, column)

        own = Own("b", instance_of("b"), 1, "0.5.0", "0005", NEXT, blank)
        a, b = made.sites["a"], await made.begin("b", merging=both, own=own)
        newer = b.merging
        await until(lambda: a.links.connected and b.links.connected)

        newer.colours["1"] = "red"
        await b.commit(drive("1"), make_key(1, "b"))
        await until(lambda: [each.serial for each in a.store.load().drives] == ["1"])
        await a.commit(drive("1", "HP"), drive("2"), make_key(2, "a"))
        await until(lambda: len(b.store.load().drives) == 2)
        found = {each.serial: each.vendor for each in b.store.load().drives}
        assert found == {"1": "HP", "2": "IBM"}
        assert newer.colours == {"1": "red", "2": "grey"}

        await a.links.compare()
        await b.links.compare()
        for site, name in ((a, "b"), (b, "a")):
            status = site.links.status(name)
            assert status is not None and status.compare_time_us and not status.differences
        (error,) = await a.store.submit_stamped([[drive("1", "DELL")]])  # a fault is found all the same
        assert error is None
        await b.links.compare()
        status = b.links.status("a")
        assert status is not None and status.differences == ("drives 1",)


async def test_a_server_that_was_upgraded_has_everything_sent_again(tmp_path: Path) -> None:
    async with estate(tmp_path, "a", "b") as made:
        a, b = made.sites["a"], made.sites["b"]
        await a.commit(drive("1"))
        await until(lambda: bool(b.store.load().drives) and b.links._link("a").cursor.received > 0)
        assert b.store.load().settings[SCHEMA] == "0004"
        await made.end("b")
        own = Own("b", instance_of("b"), 1, "0.5.0", "0005", tables_of_store(), blank_of_store)
        b = await made.begin("b", own=own)
        await until(lambda: "1" in [line.key for line in b.merging.taken])
        assert b.store.load().settings[SCHEMA] == "0005"
