"""SQLite, and everything that only SQLite needs: pragmas, transactions, checkpoints, upserts.

The rest of the store speaks SQLAlchemy Core, so another database is another module like this one.

Durability was measured on a disk with a volatile cache: of acknowledged commits WAL with synchronous=FULL
lost none at a power cut, WAL with NORMAL all, DELETE with FULL the last one. SQLite says nothing when it
cannot switch to WAL, so both pragmas are read back on every connection.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, Table, create_engine, event, exc
from sqlalchemy.dialects import sqlite

from qekm.errors import StoreDamaged, StoreFailed

# Pragma -> (what is asked, what must be read back).
PRAGMAS: Mapping[str, tuple[str, str | int]] = MappingProxyType(
    {
        "journal_mode": ("WAL", "wal"),
        "synchronous": ("FULL", 2),
        "foreign_keys": ("ON", 1),
        "cell_size_check": ("ON", 1),
        "trusted_schema": ("OFF", 0),
        # What a row no longer holds is overwritten with zeros.
        "secure_delete": ("ON", 1),
        # SQLite's own checkpoint swallows a failed fsync and tries again later; checkpoint() reports it.
        "wal_autocheckpoint": ("0", 0),
    }
)

_ROOM = 3  # times the file's size: the log holds one copy, and commits go on
# Drives wait so long for readers to leave the log. Without it readers that come and go would keep it for
# ever; who comes while it is waited for sees all commits, and reads the file alone once they are in it.
_PATIENCE_MS = 50

COMPANIONS = ("-wal", "-shm")  # the log and its index, beside the file while it is open


def open_file(path: Path) -> Engine:
    """Return an engine on a file; every connection has its pragmas set and asserted (StoreFailed)."""
    # hide_parameters: the text of a database error must not carry sealed keys into a log.
    engine = create_engine(URL.create("sqlite", database=str(path)), hide_parameters=True)
    event.listen(engine, "connect", prepare)
    # The driver would begin a transaction by itself before a write, and none before a read.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def look_at(path: Path, *, with_log: bool = False) -> Engine:
    """Return an engine that reads the file as it lies there: no lock, no byte written, its log if asked."""
    address = f"{path.absolute().as_uri()}?{'mode=ro' if with_log and has_log(path) else 'immutable=1'}"
    return create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool)


def has_log(path: Path) -> bool:
    """Tell whether commits may still be in the log only; a close that could sync everything removes it."""
    return path.with_name(path.name + COMPANIONS[0]).exists()


def prepare(connection: sqlite3.Connection, _: object = None) -> None:
    """Set the pragmas of a new connection and read them back. StoreFailed, StoreDamaged."""
    connection.isolation_level = None
    try:
        for pragma, (value, _expected) in PRAGMAS.items():
            connection.execute(f"PRAGMA {pragma}={value}").fetchall()
        found = {pragma: connection.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in PRAGMAS}
    except sqlite3.OperationalError as error:
        raise StoreFailed(f"the store cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(f"the store cannot be opened: {error}") from error
    for pragma, (_value, expected) in PRAGMAS.items():
        if found[pragma] != expected:
            raise StoreFailed(f"the store's {pragma} is {found[pragma]}, not {expected}", pragma=pragma)


def _insert_of(dialect: str) -> Any:
    if dialect == "sqlite":
        return sqlite.insert
    from sqlalchemy.dialects import postgresql  # as long to import as a tenth of SQLAlchemy

    return postgresql.insert


def upsert(dialect: str, table: Table, mutable: tuple[str, ...] | None, version: str = "") -> Any:
    """Return the INSERT of one row that, when its primary key exists, changes the mutable columns instead.

    SQLite and PostgreSQL share the syntax, SQLAlchemy has it per dialect. None for mutable: a plain INSERT.
    version: the column that must be higher than it was, or nothing is changed.
    """
    names = [column.name for column in table.columns if column.autoincrement is not True]
    insert: Any = _insert_of(dialect)(table).values(dict.fromkeys(names))
    if mutable is None:
        return insert
    return insert.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={name: insert.excluded[name] for name in mutable},
        where=table.c[version] <= insert.excluded[version] if version else None,
    )


def copy_to(engine: Engine, path: Path) -> None:
    """Write what one read transaction sees into a new file, compact, without a log; not synced."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.execute("VACUUM INTO ?", (str(path),))


def checkpoint(connection: Connection) -> None:
    """Move commits from the log into the file, as far as readers allow; raises when a sync fails."""
    # On the driver's connection: SQLAlchemy's would begin a transaction, and none may be open.
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def rewrite(connection: Connection) -> bool:
    """Write the whole file anew, rows as they are; False, and nothing is changed, where there is no room.

    SQLite overwrites a row's own bytes, but not the copies that it leaves behind where it moves rows to
    another page. In memory first, so that no temporary file holds a copy, then through the log.
    """
    driver: Any = connection.connection.driver_connection
    ((_, _, path),) = driver.execute("PRAGMA database_list").fetchall()
    if shutil.disk_usage(path).free < _ROOM * Path(path).stat().st_size:
        return False
    driver.execute("PRAGMA temp_store=MEMORY")
    try:
        driver.execute("VACUUM")
    except MemoryError:
        return False
    finally:
        driver.execute("PRAGMA temp_store=DEFAULT")
    return True


def empty_log(connection: Connection) -> bool:
    """Move all commits into the file and cut the log to nothing; False while somebody reads from it long."""
    driver: Any = connection.connection.driver_connection
    (patience,) = driver.execute("PRAGMA busy_timeout").fetchone()
    driver.execute(f"PRAGMA busy_timeout={_PATIENCE_MS}")
    (busy, _, _) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    driver.execute(f"PRAGMA busy_timeout={patience}")
    return not busy


def integrity_of(connection: Connection) -> None:
    """Raise StoreDamaged unless every page, index and reference is consistent; reads the whole file."""
    verdict = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
    if verdict == "ok" and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
        verdict = "a row refers to none"
    if verdict != "ok":
        hint = "restore the latest backup"
        raise StoreDamaged(f"the store's file is not consistent: {verdict}", hint=hint)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the database's errors into ours: a file that makes no sense is damaged, all else failed."""
    try:
        yield
    except (exc.OperationalError, exc.IntegrityError) as error:
        raise StoreFailed(f"the store cannot be used: {error.orig}") from error
    except OSError as error:
        raise StoreFailed(f"the store cannot be used: {error}") from error
    except exc.DBAPIError as error:
        raise StoreDamaged(f"the store cannot be read: {error.orig}") from error
    except UnicodeError as error:  # text that is none, in a row or in what SQLite says of its schema
        raise StoreDamaged("the store cannot be read: it holds text that is none") from error
