"""What only SQLite needs is asked for, and read back."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable

import qekm.store
from qekm.errors import StoreFailed
from qekm.store import Store, engine, tables
from qekm.store.plan import Statements
from tests.qekm.store.material import make_key, unlock

SOURCES = sorted(Path(qekm.store.__file__).parent.rglob("*.py"))


def _pragma(path: Path, name: str) -> str:
    with closing(sqlite3.connect(path)) as plain:
        return str(plain.execute(f"PRAGMA {name}").fetchone()[0])


def test_every_connection_writes_through_a_log_and_syncs_it(path: Path) -> None:
    opened = engine.open_file(path)
    connections = [opened.connect() for _ in range(3)]
    for connection in connections:
        found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in engine.PRAGMAS}
        assert found == {name: expected for name, (_, expected) in engine.PRAGMAS.items()}
        assert (found["journal_mode"], found["synchronous"], found["foreign_keys"]) == ("wal", 2, 1)
        connection.close()
    opened.dispose()


def test_a_store_that_was_taken_out_of_wal_is_brought_back(path: Path) -> None:
    with closing(sqlite3.connect(path)) as plain:
        plain.execute("PRAGMA journal_mode=DELETE")
    assert _pragma(path, "journal_mode") == "delete"
    Store.open(path, unlock).close()
    assert _pragma(path, "journal_mode") == "wal"


def test_a_store_that_cannot_be_brought_back_is_refused(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as plain:
        plain.execute("PRAGMA journal_mode=DELETE")
        plain.execute("BEGIN")
        plain.execute("SELECT * FROM keys").fetchall()
        with pytest.raises(StoreFailed):
            Store.open(path, unlock)
    Store.open(path, unlock).close()


def test_a_pragma_that_is_not_taken_is_found_out(path: Path) -> None:
    class Deaf(sqlite3.Connection):
        """Ignores a request for FULL, as SQLite ignores what it does not understand."""

        def execute(self, sql: str, *rest: object) -> sqlite3.Cursor:
            return super().execute(sql.replace("synchronous=FULL", "synchronous=FUL"), *rest)  # type: ignore[arg-type]

    with closing(sqlite3.connect(path, factory=Deaf)) as deaf:
        sqlite3.Connection.execute(deaf, "PRAGMA synchronous=NORMAL")
        with pytest.raises(StoreFailed, match="synchronous"):
            engine.prepare(deaf)


async def test_the_log_is_moved_into_the_file_while_the_service_runs(path: Path, store: Store) -> None:
    for number in range(30):
        await store.commit([make_key(100 * number + place) for place in range(100)])
    log = path.with_name(path.name + "-wal").stat().st_size
    assert log < 2_500_000, "without a checkpoint it would hold 5 MB"


def test_all_statements_and_tables_can_be_said_to_postgresql() -> None:
    dialect = postgresql.dialect(paramstyle="format")  # type: ignore[no-untyped-call]
    statements = Statements.compile(dialect)
    for text in (*statements.write.values(), *statements.remove.values(), statements.chain):
        assert "%s" in text
    for table in tables.metadata.sorted_tables:
        assert "STRICT" not in str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            CreateIndex(index).compile(dialect=dialect)


def test_no_other_module_speaks_sqlite() -> None:
    for source in SOURCES:
        if source.name != "engine.py":
            assert not re.search(r"PRAGMA|import sqlite3|dialects", source.read_text()), source


def test_no_statement_changes_or_removes_an_audit_record(path: Path) -> None:
    statements = Statements.compile(engine.open_file(path).dialect)
    said = [*statements.write.values(), *statements.remove.values(), statements.chain]
    assert [text for text in said if re.search(r"\baudit\b", text)] == [statements.chain]
    assert re.match(r"INSERT INTO audit \(.*\) VALUES \([?, ]+\)$", statements.chain)
    changing = re.compile(
        r"audit\W+(update|delete)\(|(update|delete)\(\s*tables\.audit|UPDATE audit|DELETE FROM audit"
    )
    for source in SOURCES:
        assert not changing.search(source.read_text()), source
