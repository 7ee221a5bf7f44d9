"""What whoever can write the file may do to it: nothing of it is believed."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from qekm.errors import StoreDamaged
from qekm.model import Cartridge, Certificate, Drive, DriveState, Key, KeyState, Role, Setting
from qekm.store import Store
from tests.qekm.store.conftest import Failures
from tests.qekm.store.material import SIGNER, create, make_key, make_record, unlock

USED = replace(make_key(1, KeyState.ASSIGNED, 2), volser="E01001L4")
CHANGES = (
    USED,
    make_key(2),
    make_key(3),
    Drive("001300000392", DriveState.ACCEPTED, 1),
    Drive("001310000363", DriveState.PENDING, 1),
    Certificate("0a", Role.ADMINISTRATOR, "alice", 1, 2, b"a", revoke_time_us=5),
    Setting("store.behind", ""),
    Cartridge("E01001L4", USED.alias, "001300000392", b"w" * 8, 1),
    Cartridge("E01002L4", USED.alias, "001300000392", b"w" * 8, 2),
    make_record("one"),
    make_record("two"),
)

ROGUE = "SELECT 'ROGUE', 1, 1, x'', '', '', '', x'', 0, '[]', '', '', 1, 1, '', x''"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a store that holds something of everything."""
    return create(tmp_path, *CHANGES)


def swap(column: str) -> str:
    """Return the exchange of one column between two keys."""
    other = f"SELECT {column} FROM keys WHERE created_seq = 5 - k.created_seq"
    return f"UPDATE keys AS k SET {column} = ({other}) WHERE created_seq IN (2, 3)"


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE keys SET state = 2, version = 9 WHERE state = 3", "keys"),
        ("UPDATE keys SET volser = 'E01002L4' WHERE state = 3", "keys"),
        ("DELETE FROM keys WHERE created_seq = 2", "rows are missing"),
        (swap("sealed"), "keys"),
        (swap("sealed").replace("sealed =", "mac ="), "keys"),
        ("UPDATE drives SET state = 1", "drives 001310000363"),
        ("DELETE FROM drives WHERE serial = '001310000363'", "rows are missing"),
        (
            "INSERT INTO drives SELECT 'ROGUE', 1, 1, x'', '', '', '', x'', 0, '[]', '', '', 1, 1, '', x''",
            "ROGUE",
        ),
        ("UPDATE certificates SET revoke_time_us = 0", "certificates"),
        ("DELETE FROM settings", "rows are missing"),
        ("UPDATE slots SET kind = 'shares'", "slots"),
        ("DELETE FROM slots WHERE name = 'password'", "rows are missing"),
        ("DELETE FROM cartridges WHERE volser = 'E01002L4'", "rows are missing"),
        ("UPDATE cartridges SET id = id + 10", "cartridges"),
        ("DELETE FROM audit WHERE sequence = 2", "rows are missing"),
        ("UPDATE audit SET hash = x'00' WHERE sequence = 2", "rows are missing"),
        ("UPDATE roots SET sequence = 99", "rows are missing"),
        ("UPDATE roots SET epoch = 7", "rows are missing"),
        ("UPDATE roots SET anchored = 1", "rows are missing"),
        ("DELETE FROM roots", "rows are missing"),
    ],
)
def test_what_is_altered_is_named_and_the_store_stays_shut(path: Path, statement: str, named: str) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute(statement).rowcount > 0
    connection.close()
    with pytest.raises(StoreDamaged, match=named):
        Store.open(path, unlock)


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("CREATE TRIGGER t BEFORE INSERT ON keys BEGIN SELECT RAISE(IGNORE); END", "t"),
        ("CREATE TRIGGER t AFTER UPDATE ON keys BEGIN DELETE FROM settings; END", "t"),
        ("CREATE VIEW v AS SELECT * FROM keys", "v"),
        ("CREATE TABLE zz (a, b)", "zz"),
        ("CREATE INDEX more ON keys (volser)", "more"),
        ("DROP INDEX keys_alias", "keys_alias"),
        ("ALTER TABLE keys ADD COLUMN more TEXT", "keys"),
        ("ALTER TABLE partners RENAME COLUMN signer TO giver", "partners"),
    ],
)
def test_what_the_schema_does_not_have_keeps_the_store_shut(path: Path, statement: str, named: str) -> None:
    """A trigger that swallows rows would have commits acknowledged that never reach the disk."""
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(StoreDamaged, match=f"schema is not what this program made: {named}"):
        Store.open(path, unlock)


def test_a_conflict_clause_in_a_tables_text_is_found(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, 'UNIQUE (dki)', 'UNIQUE (dki) ON CONFLICT IGNORE')"
        )
    connection.close()
    with pytest.raises(StoreDamaged, match="schema is not what this program made: keys"):
        Store.open(path, unlock)


@pytest.mark.parametrize("column", ["name", "tbl_name"])
def test_a_schema_whose_text_is_no_text_is_found(path: Path, column: str) -> None:
    """As one flipped bit of its record leaves it: the bytes are the same, and their type is another."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA writable_schema=ON")
        change = f"UPDATE sqlite_master SET {column} = CAST({column} AS BLOB) WHERE name = 'groups'"
        connection.execute(change)
    connection.close()
    with pytest.raises(StoreDamaged):
        Store.open(path, unlock)


async def _later(path: Path, *changes: Key | Drive) -> None:
    store = Store.open(path, unlock)
    store.start(SIGNER.sign, Failures().append)
    await store.commit([*changes])
    store.close()


async def test_a_row_of_another_time_is_refused_though_its_mac_is_right(path: Path) -> None:
    """A key that was ready before it was given out, put back: only the store root can tell."""
    before = sqlite3.connect(path)
    rows = before.execute("SELECT * FROM keys WHERE created_seq = 2").fetchall()
    before.close()
    await _later(path, replace(make_key(2), state=KeyState.ASSIGNED, version=2))
    with sqlite3.connect(path) as connection:
        marks = ",".join("?" * len(rows[0]))
        connection.execute(f"INSERT OR REPLACE INTO keys VALUES ({marks})", rows[0])
    connection.close()
    with pytest.raises(StoreDamaged, match="those of another time"):
        Store.open(path, unlock)


async def test_two_files_of_two_times_do_not_mix(path: Path) -> None:
    """The root of a later commit in the file of an earlier one."""
    earlier = path.with_name("earlier")
    shutil.copy(path, earlier)
    await _later(path, make_key(4))
    connection = sqlite3.connect(path)
    connection.execute("ATTACH ? AS old", (str(earlier),))
    connection.execute("DELETE FROM roots")
    connection.execute("INSERT INTO roots SELECT * FROM old.roots")
    connection.commit()
    connection.close()
    with pytest.raises(StoreDamaged):
        Store.open(path, unlock)


async def test_the_scrubber_finds_what_was_altered_while_the_store_is_open(path: Path) -> None:
    store = Store.open(path, unlock)
    store.start(SIGNER.sign, Failures().append)
    await store.commit([make_record("three")])
    assert store.scrub(lambda rows: None).require().root == store.scrub(lambda rows: None).ledger.root
    other = sqlite3.connect(path)
    other.execute("UPDATE drives SET alias = 'x' WHERE serial = '001300000392'")
    other.commit()
    other.close()
    found = store.scrub(lambda rows: None)
    assert (found.damaged, found.root_holds) == (("drives 001300000392",), False)
    store.close()


async def test_a_store_of_the_first_release_gets_its_macs_on_a_copy(
    tmp_path: Path, make_old: Callable[[Path], Path]
) -> None:
    path = make_old(tmp_path)
    store = Store.open(path, unlock)
    assert store.witness.epoch == 1
    assert [slot.kind for slot in store.load().slots] == ["key-file"]
    assert store.scrub(lambda rows: None).require()
    store.close()
    assert path.with_name("qekm.db.0001").exists()
    Store.open(path, unlock).close()


@pytest.fixture
def make_old() -> Callable[[Path], Path]:
    """Return a maker of stores of revision 0001."""

    def make(directory: Path) -> Path:
        golden = Path(__file__).parents[2] / "golden" / "0.1.0" / "qekm.db"
        path = directory / "old" / "qekm.db"
        path.parent.mkdir()
        shutil.copy(golden, path)
        return path

    return make


def test_a_hundred_thousand_rows_are_verified_in_seconds(tmp_path: Path) -> None:
    path, told = create(tmp_path, *map(make_key, range(100_000))), [0]

    def tell(rows: int) -> None:
        told[0] += rows

    began = time.process_time()  # others use this machine, too
    Store.open(path, unlock, tell=tell).close()
    took = time.process_time() - began
    print(f"100,000 rows verified in {took:.1f} s, aim 5 s")
    assert told[0] >= 100_000
    assert took < 15
