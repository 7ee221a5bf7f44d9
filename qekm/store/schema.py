"""The schema's revision, and how an older store becomes a present one without being caught half-way.

A migration works on a copy that is checked and synced before it takes the name of the original; the original
stays beside it under its revision, until keys are destroyed. So a store's revision is always in the file
itself, never in its log.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, create_engine, exc, inspect, text

from qekm.durable import sync_directory
from qekm.errors import StoreDamaged, StoreFailed, StoreNewer
from qekm.failpoints import failpoint
from qekm.store import engine as database
from qekm.store import tables

Act = Callable[[Connection], None]

_NEVER = re.compile(r"\b(CONFLICT|GENERATED|CHECK|COLLATE)\b")  # in the text of no table of ours
_MIGRATIONS = Path(__file__).with_name("migrations")


@dataclass(frozen=True, slots=True)
class Schema:
    """All revisions in order, and the directories that hold them."""

    revisions: tuple[str, ...]
    directories: tuple[Path, ...]

    def apply(self, connection: Connection) -> None:
        """Bring the database of a connection, empty or older, to the last revision, in its transaction."""
        logging.getLogger("alembic").setLevel(logging.WARNING)
        from alembic import command, config  # a quarter of a start, to import and run

        settings = config.Config(attributes={"connection": connection})
        settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        settings.set_main_option("path_separator", "newline")
        settings.set_main_option(
            "version_locations", "\n".join(map(str, self.directories)).replace("%", "%%")
        )
        command.upgrade(settings, self.revisions[-1])


PRESENT = Schema(("0001", "0002", "0003", "0004"), (_MIGRATIONS / "versions",))
_REVISION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


@cache
def _made(schema: Schema) -> frozenset[tuple[str, ...]]:
    """Return the objects that the last revision has, from an empty database.

    The present one's are what the tables say, which is sooner had than alembic: each start asks. Stores are
    made by the migrations, so whoever opens one compares both.
    """
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        if schema == PRESENT:
            tables.metadata.create_all(connection)
            _REVISION.create(connection)
        else:
            schema.apply(connection)
        return _objects(connection)


def check_objects(connection: Connection, schema: Schema) -> None:
    """Raise StoreDamaged unless the database has the tables, columns and indexes of the last revision only.

    A trigger could keep a commit from the disk and say nothing, or keep a copy of what is destroyed; so could
    a constraint with a conflict clause. The text of a table is not compared: libraries may word it anew.
    """
    texts = connection.exec_driver_sql("SELECT name, upper(sql) FROM sqlite_master WHERE sql IS NOT NULL")
    strange = {str(name) for name, sql in texts if _NEVER.search(sql)}
    strange |= {found[1] for found in _objects(connection) ^ _made(schema)}
    if strange:
        named = ", ".join(sorted(strange)[:5])
        hint = (
            "restore the latest backup (qekm backup restore), and keep this store for whoever looks into it"
        )
        raise StoreDamaged(f"the store's schema is not what this program made: {named}", hint=hint)


def _objects(connection: Connection) -> frozenset[tuple[str, ...]]:
    """Return kind, name and table of every object, and of every column its name, type and flags.

    Not its place: statements name columns. All of it as text: in a damaged file a name may be of any type.
    """
    rows = connection.exec_driver_sql("SELECT type, name, tbl_name FROM sqlite_master")
    found = {tuple(map(str, row)) for row in rows}
    for table in [name for kind, name, _ in found if kind == "table"]:
        columns = connection.exec_driver_sql("SELECT * FROM pragma_table_xinfo(?)", (table,))
        # Without the default (4): a value that a row may lack, worded as a library likes.
        found |= {("column", table, *map(str, (*row[1:4], *row[5:]))) for row in columns}
    return frozenset(found)


def make(path: Path, fill: Act, schema: Schema) -> None:
    """Make a file of the last revision, filled in the same transaction; it appears complete or not at all."""
    new = _blank_beside(path)
    _alter(new, schema.apply, fill)
    _install(new, path)


def check(path: Path, schema: Schema) -> str:
    """Return a file's revision; StoreNewer, and no byte written, for an unknown one, StoreDamaged."""
    revision = _look(path)
    if revision is None:
        _alter(path)  # a power cut while the log was moved can tear a page; opening mends it from the log
        revision = _look(path)
    if revision is None:
        raise StoreDamaged(f"{path} cannot be read")
    if revision not in schema.revisions:
        raise StoreNewer(f"the store is of revision {revision}, this program knows {schema.revisions[-1]}")
    return revision


def upgrade(path: Path, schema: Schema, before: Act, after: Act) -> None:
    """Bring an older file to the last revision, on a copy.

    before, after: check the file as it is, and the finished copy (every key of it) before it takes the name.
    """
    revision = check(path, schema)
    if revision == schema.revisions[-1]:
        return
    _alter(path, database.integrity_of, before)  # closing it moves all of its log into the file
    new, kept = _blank_beside(path), path.with_name(f"{path.name}.{revision}")
    shutil.copyfile(path, new)
    failpoint("migrate.copied")
    _alter(new, schema.apply, after, database.integrity_of)
    kept.unlink(missing_ok=True)
    kept.hardlink_to(path)
    failpoint("migrate.installing")
    _install(new, path)


def remove_older(path: Path) -> None:
    """Remove what migrations have left beside a store: it may hold what is erased from the store. OSError."""
    for left in (*path.parent.glob(f"{path.name}.[0-9]*"), *path.parent.glob(f"{path.name}.new*")):
        left.unlink(missing_ok=True)
    sync_directory(path.parent)


def _look(path: Path) -> str | None:
    """Read a file's revision without touching it; None if it cannot be read without its log."""
    try:
        with database.look_at(path).connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                raise StoreDamaged(f"{path} is none of this program's databases")
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
    except exc.DatabaseError:
        return None


def _blank_beside(path: Path) -> Path:
    """Return an empty file, 0600, for what will take the name of `path`; what a crash left there goes."""
    new = path.with_name(path.name + ".new")
    for suffix in ("", *database.COMPANIONS):
        new.with_name(new.name + suffix).unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
    return new


def _alter(path: Path, *acts: Act) -> None:
    """Do acts in one transaction, then close the file so that nothing of it is left in a log."""
    engine = database.open_file(path)
    try:
        with engine.begin() as connection:
            for act in acts:
                act(connection)
    finally:
        engine.dispose()
    if database.has_log(path):
        raise StoreFailed("the log could not be moved into the store's file")


def _install(new: Path, path: Path) -> None:
    """Give a finished file its name, durably."""
    handle = os.open(new, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    new.rename(path)
    sync_directory(path.parent)
