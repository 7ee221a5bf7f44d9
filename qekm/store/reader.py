"""The reading half of an open store, usable from any thread.

Each call is one short transaction on a connection of its own: a long one would keep the log from
being moved into the file. From the event loop, call through asyncio.to_thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, func, inspect, select

from qekm.errors import StoreDamaged
from qekm.model import Cartridge, Checkpoint, Outcome
from qekm.sealing.keyring import VERSION_PLACE
from qekm.store import journal, snapshot, tables
from qekm.store.chain import Head, Link
from qekm.store.engine import translated
from qekm.store.locked import Locked, look
from qekm.store.nouns import cartridge_of, link_of
from qekm.store.plan import INSTANCE
from qekm.store.shared import PrimaryKey
from qekm.store.summary import Summary

_CHUNK = 1_000


class Reader:
    """What can be asked of a store; every method raises StoreDamaged or StoreFailed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        with translated(), engine.connect() as connection:
            rows = connection.execute(select(tables.estate)).scalars().all()
        if len(rows) != 1:
            raise StoreDamaged("the store does not tell its estate")
        self.estate_id: bytes = rows[0]

    @staticmethod
    def _setting(connection: Connection, name: str) -> str:
        """Return a setting's value; empty if it is not there."""
        query = select(tables.settings.c.value).where(tables.settings.c.name == name)
        return str(connection.execute(query).scalar() or "")

    def locked(self) -> Locked:
        """Return what unlocking needs, as it lies there."""
        return look(self._engine)

    def load(self) -> snapshot.Snapshot:
        """Read everything that lives in memory while the service runs."""
        with translated(), self._engine.connect() as connection:
            return snapshot.load(connection)

    def journal_page(self, after: int, limit: int) -> list[journal.Line]:
        """Return at most `limit` lines of the journal beyond a place, in order, with their rows."""
        with translated(), self._engine.connect() as connection:
            return journal.page(connection, after, limit)

    def journal_of(self, names: Iterable[str]) -> list[journal.Line]:
        """Return the lines of whole tables, in order, with their rows."""
        with translated(), self._engine.connect() as connection:
            return journal.of_tables(connection, names)

    def unheld(self, acknowledged: int, origin: bytes) -> int:
        """Return the lowest created_seq of an instance's unused key that changed after a place, or 0."""
        with translated(), self._engine.connect() as connection:
            return journal.unheld(connection, acknowledged, origin)

    def row_macs(self, table: str, bucket: int) -> dict[PrimaryKey, bytes]:
        """Return primary keys and MACs of the shared rows of one part of a table."""
        with translated(), self._engine.connect() as connection:
            return journal.row_macs(connection, table, bucket)

    def shared_rows(self, table: str, keys: Sequence[PrimaryKey]) -> list[tuple[Any, ...]]:
        """Return the rows of a shared table that have these primary keys, those that are there."""
        with translated(), self._engine.connect() as connection:
            return list(journal.values_of(connection, table, keys))

    def record_versions(self) -> set[int]:
        """Return the versions of the record key under which keys are sealed; reads every key's row."""
        sealed = tables.keys.c.sealed
        version = func.substr(sealed, *VERSION_PLACE)
        query = select(version).where(func.length(sealed) > 0).distinct()
        with translated(), self._engine.connect() as connection:
            return {int.from_bytes(found) for found in connection.execute(query).scalars()}

    def audit_head(self) -> Head:
        """Return the last link's place and hash."""
        columns = tables.audit.c
        query = select(columns.sequence, columns.hash).order_by(columns.sequence.desc()).limit(1)
        with translated(), self._engine.connect() as connection:
            row = connection.execute(query).first()
        return Head(*row) if row else Head()

    def own_checkpoint(self) -> Checkpoint | None:
        """Return how far this server was when it last told others, as it lies there; None if it never did."""
        own = select(tables.settings.c.value).where(tables.settings.c.name == INSTANCE)
        with translated(), self._engine.connect() as connection:
            if not inspect(connection).has_table(tables.checkpoints.name):  # a store of an earlier release
                return None
            instance = connection.execute(own).scalar()
            query = select(tables.checkpoints).where(
                tables.checkpoints.c.instance == bytes.fromhex(instance or "")
            )
            row = connection.execute(query).first()
        return Checkpoint(*row[:9]) if row else None

    @property
    def summary(self) -> Summary:
        """Return what counts all of it, for a report."""
        return Summary(self._engine)

    def audit_count(self) -> int:
        """Count the rows of the trail; a gap in it shows as a count below the head's sequence."""
        with translated(), self._engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(tables.audit)).scalar_one())

    def audit_page(
        self,
        after_sequence: int,
        limit: int,
        *,
        drive_serial: str = "",
        volser: str = "",
        since_us: int = 0,
        failed: bool = False,
        newest_first: bool = False,
    ) -> list[Link]:
        """Return at most `limit` links beyond a sequence; 0: from the start, or the end with newest_first."""
        columns = tables.audit.c
        query = select(tables.audit).limit(limit)
        if newest_first:
            query = query.order_by(columns.sequence.desc())
            query = query.where(columns.sequence < after_sequence) if after_sequence else query
        else:
            query = query.order_by(columns.sequence).where(columns.sequence > after_sequence)
        if drive_serial:
            query = query.where(columns.drive_serial == drive_serial)
        if volser:
            query = query.where(columns.volser == volser)
        if since_us:
            query = query.where(columns.time_us >= since_us)
        if failed:
            query = query.where(columns.outcome == int(Outcome.FAILURE))
        with translated(), self._engine.connect() as connection:
            rows = connection.execute(query).all()
        try:
            return [link_of(row) for row in rows]
        except (ValueError, TypeError) as error:
            raise StoreDamaged("table audit holds a row that cannot be", table="audit") from error

    def iterate_audit(self) -> Iterator[Link]:
        """Yield every link in order, those too that are written meanwhile; StoreDamaged if one steps back."""
        last = 0
        while page := self.audit_page(last, _CHUNK):
            for found in page:
                if found.sequence <= last:  # a damaged page; asked on from here, it would be read for ever
                    raise StoreDamaged(f"audit record {found.sequence:,} follows {last:,}")
                last = found.sequence
                yield found

    def cartridges_page(
        self, after_id: int, limit: int, *, volser: str = "", alias: str = "", newest_first: bool = False
    ) -> list[tuple[int, Cartridge]]:
        """Return at most `limit` uses of keys beyond an id (0: all), each with its id; alias as stored."""
        columns = tables.cartridges.c
        query = select(tables.cartridges).limit(limit)
        if newest_first:
            query = query.order_by(columns.id.desc())
            query = query.where(columns.id < after_id) if after_id else query
        else:
            query = query.order_by(columns.id).where(columns.id > after_id)
        if volser:
            query = query.where(columns.volser == volser)
        if alias:
            query = query.where(columns.alias == alias)
        with translated(), self._engine.connect() as connection:
            return [(row[0], cartridge_of(row)) for row in connection.execute(query)]
