"""What can be seen of a store's file from outside: no lock, no byte written, whoever serves it meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, exc, func, inspect, select, text

from qekm.errors import StoreDamaged
from qekm.model import BackupState
from qekm.store import engine as database
from qekm.store import tables
from qekm.store.schema import PRESENT

_MAGIC = b"SQLite format 3\x00"
_REPAIR = "restore the latest backup: qekm backup restore; keep this file for whoever looks into it"
_TRIES = 3  # a page may be written while it is read


@dataclass(frozen=True, slots=True)
class Glance:
    """revision: of its schema, which is in the file itself. Commits that are only in the log are not seen.

    known: the last revision of this program. verified_us: when the newest good backup was proved; 0: never.
    """

    revision: str
    known: tuple[str, ...]
    estate: bytes
    verified_us: int

    @property
    def is_newer(self) -> bool:
        """Return whether a newer program made it: nothing else in it is known then."""
        return self.revision not in self.known


def glance(path: Path) -> Glance:
    """Look at a store's file; StoreDamaged, OSError."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise StoreDamaged(f"{path} is no database: its header is damaged", hint=_REPAIR)
    for left in reversed(range(_TRIES)):
        try:
            with database.look_at(path).connect() as connection:
                return _glance(connection, path)
        except (exc.DatabaseError, UnicodeError) as error:
            if not left:
                what = f"{path} cannot be read: {getattr(error, 'orig', error)}"
                raise StoreDamaged(what, hint=_REPAIR) from error
    raise AssertionError("unreachable")


def _glance(connection: Connection, path: Path) -> Glance:
    there = inspect(connection)
    if not there.has_table("alembic_version"):
        raise StoreDamaged(f"{path} is none of this program's databases", hint=_REPAIR)
    revision = str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar())
    if revision not in PRESENT.revisions:
        return Glance(revision, PRESENT.revisions, b"", 0)
    estate = connection.execute(select(tables.estate.c[0])).scalar() or b""
    verified = 0
    if there.has_table(tables.backups.name):
        good = tables.backups.c.state == BackupState.VERIFIED
        verified = (
            connection.execute(select(func.max(tables.backups.c.verify_time_us)).where(good)).scalar() or 0
        )
    return Glance(revision, PRESENT.revisions, bytes(estate), int(verified))
