"""The store as its owner holds it: opened under a lock, read into memory once, written in groups."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, Engine, insert

from qekm.errors import HomeExists, NotInitialised, StoreFailed
from qekm.model import Change
from qekm.store import engine as database
from qekm.store import schema, tables
from qekm.store.chain import Head, Sign
from qekm.store.lock import Lock
from qekm.store.plan import Statements, Unit, plan
from qekm.store.reader import Reader
from qekm.store.writer import Results, Writer

_PART = 10_000  # changes of a new store that are in memory at a time


class Store(Reader):
    """One open store. Reading may be done from any thread, writing from one event loop."""

    def __init__(self, lock: Lock, engine: Engine) -> None:
        """Use Store.open."""
        super().__init__(engine)
        self._lock = lock
        self._writer: Writer | None = None

    @staticmethod
    def create(
        path: Path,
        estate_id: bytes,
        slots: Mapping[str, bytes],
        changes: Iterable[Change],
        *,
        sign_head: Sign | None = None,
        present: schema.Schema = schema.PRESENT,
    ) -> None:
        """Make a store that holds the changes, complete and durable when this returns; then open it.

        changes: parents before children; taken in parts, so that a million keys need not be in memory.
        Makes its directory (0700) if need be. Raises HomeExists, StoreInUse, StoreFailed.
        """

        def fill(connection: Connection) -> None:
            connection.execute(insert(tables.estate), {"estate_id": estate_id})
            for name, sealed in slots.items():
                connection.execute(insert(tables.slots), {"name": name, "sealed": sealed})
            statements, head, left = Statements.compile(connection.dialect), Head(), iter(changes)
            while part := list(islice(left, _PART)):
                steps, head = plan([part], head, sign_head, statements)
                for text, rows in steps:
                    connection.exec_driver_sql(text, rows)

        with database.translated():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(Lock(path.with_name("lock"))):
                if path.exists():
                    raise HomeExists(f"there is a store in {path.parent} already")
                schema.make(path, fill, present)
                schema.fsync_directory(path.parent.parent)

    @classmethod
    def open(cls, path: Path, *, present: schema.Schema = schema.PRESENT) -> Store:
        """Lock and open a store; an older one is migrated first, on a copy.

        Raises NotInitialised, StoreInUse, StoreNewer (nothing was touched), StoreDamaged, StoreFailed.
        """
        with database.translated(), ExitStack() as undo:
            lock = _lock(path)
            undo.callback(lock.close)
            engine = database.open_file(path)
            undo.callback(engine.dispose)
            schema.upgrade(path, present)
            path.chmod(0o600)
            store = cls(lock, engine)
            schema.fsync_directory(path.parent)  # the log's name: it exists since the first read
            undo.pop_all()
            return store

    @staticmethod
    @contextmanager
    def looked_at(path: Path) -> Iterator[Reader]:
        """Lock a store and read it as it lies there: nothing is migrated, nothing of it is written.

        Raises NotInitialised, StoreInUse, StoreDamaged, StoreFailed.
        """
        with closing(_lock(path)):
            yield Reader(database.look_at(path, with_log=True))

    def start(self, sign_head: Sign | None, on_failure: Callable[[BaseException], None]) -> None:
        """Start the writer. `on_failure` is called once, in the event loop, after the first failed write.

        sign_head: signs head_message() of the last audit record of every commit, in the writer's thread.
        """
        self._writer = Writer(self._engine.connect(), self.audit_head(), sign_head, on_failure)

    def submit(self, units: Sequence[Unit]) -> asyncio.Future[Results]:
        """Have each unit committed whole; the future gets, per unit, None or the error that kept it out.

        The units of all callers that wait share one transaction. From the event loop's thread only.
        """
        future: asyncio.Future[Results] = asyncio.get_running_loop().create_future()
        if self._writer is None:
            future.set_result([StoreFailed("the store is not open for writing") for _ in units])
        else:
            self._writer.put(future, units)
        return future

    async def commit(self, changes: Unit) -> None:
        """Commit one unit; it is durable when this returns. Raises StoreFailed or Incident."""
        (error,) = await self.submit([changes])
        if error is not None:
            raise error

    def close(self) -> None:
        """Commit what waits, end the writer, close the file and give the lock back.

        After a failed write file and lock are left to the end of the process: closing the file would move
        the log into it, which is a write.
        """
        writer, self._writer = self._writer, None
        if writer is None or writer.stop():
            self._engine.dispose()
            self._lock.close()


def _lock(path: Path) -> Lock:
    """Lock a store that exists."""
    if not path.is_file():
        raise NotInitialised(f"there is no store in {path.parent}")
    with database.translated():
        return Lock(path.with_name("lock"))
