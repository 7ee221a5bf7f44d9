"""The store as its owner holds it: opened under a lock, verified and read once, written in groups."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, Engine, insert

from qekm.durable import sync_directory
from qekm.errors import HomeExists, NotInitialised, StoreFailed
from qekm.model import Change
from qekm.sealing import KeyRing
from qekm.sealing.seals import Seals
from qekm.store import engine as database
from qekm.store import integrity, schema, tables
from qekm.store.anchor import Anchor, Witness, behind, read_anchor
from qekm.store.chain import Sign
from qekm.store.ledger import Ledger, Root
from qekm.store.lock import Lock
from qekm.store.locked import Locked, look
from qekm.store.plan import Statements, plan
from qekm.store.reader import Reader
from qekm.store.submitting import Submitting
from qekm.store.writer import Committed, Measured, Writer, witness_of

_PART = 10_000  # changes of a new store that are in memory at a time

Unlock = Callable[[Locked], KeyRing]
Witnesses = Callable[[KeyRing], Iterable[Witness]]  # what others have seen of a store, once it is unlocked


class Store(Submitting):
    """One open store, every row of it verified. Reading may be done from any thread, writing from one loop.

    behind: why it may be an old copy (qekm.store.anchor.behind), empty if nothing says so.
    """

    def __init__(
        self, lock: Lock, engine: Engine, ring: KeyRing, ledger: Ledger, anchor: Path | None
    ) -> None:
        """Use Store.open."""
        super().__init__(engine, ring, ledger)
        self.behind = ""
        self._present = schema.PRESENT
        self.anchor_seen: Witness | None = None  # what the anchor said when the store was opened
        self._lock, self._anchor = lock, anchor
        self.committed: Committed | None = None  # to be set before `start`, if somebody copies the trail
        self.measured: Measured | None = None  # likewise, of who counts commits

    @staticmethod
    def create(
        path: Path,
        estate_id: bytes,
        seals: Seals,
        changes: Iterable[Change],
        *,
        root: Root | None = None,
        sign_head: Sign | None = None,
        present: schema.Schema = schema.PRESENT,
    ) -> None:
        """Make a store that holds the changes, complete and durable when this returns; then open it.

        changes: parents before children; taken in parts, so that a million keys need not be in memory. root:
        where its epochs and commits go on, if not at the start. Makes its directory (0700) if need be. Raises
        HomeExists, StoreInUse, StoreFailed.
        """

        def fill(connection: Connection) -> None:
            connection.execute(insert(tables.estate), {"estate_id": estate_id})
            statements, left = Statements.compile(connection.dialect), iter(changes)
            ledger = Ledger(seals, estate_id, root)
            while part := list(islice(left, _PART)):
                steps, draft = plan([part], ledger, sign_head, statements)
                for text, rows in steps:
                    connection.exec_driver_sql(text, rows)
                ledger.take(draft)

        with database.translated():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with closing(Lock(path.with_name("lock"))):
                if path.exists():
                    raise HomeExists(f"there is a store in {path.parent} already")
                schema.make(path, fill, present)
                sync_directory(path.parent.parent)

    @classmethod
    def open(
        cls,
        path: Path,
        unlock: Unlock,
        *,
        anchor: Path | None = None,
        witnesses: Witnesses = lambda _ring: (),
        tell: integrity.Tell | None = None,
        present: schema.Schema = schema.PRESENT,
    ) -> Store:
        """Lock, unlock and verify a store; an older one is migrated first, on a copy.

        unlock: makes the key ring of what a locked store shows. anchor: the file that says how far the store
        has been; witnesses: what backups say. tell: called with how many rows more are verified.
        Raises NotInitialised, StoreInUse, StoreNewer (nothing was touched), StoreDamaged, StoreFailed, and
        what `unlock` raises.
        """
        with database.translated(), ExitStack() as undo:
            lock = _lock(path)
            undo.callback(lock.close)
            engine = database.open_file(path)
            undo.callback(engine.dispose)
            revision = schema.check(path, present)
            path.chmod(0o600)  # before SQLite makes the log, which gets the same mode
            locked = look(engine)
            ring = unlock(locked)
            if revision != present.revisions[-1]:
                engine.dispose()
                _migrate(path, present, ring, locked.estate_id)
            with engine.connect() as connection:
                schema.check_objects(connection, present)
                found = integrity.examine(connection, ring.seals, locked.estate_id, tell or integrity.mute)
            store = cls(lock, engine, ring, found.require(), anchor)
            store._present = present
            store._look(witnesses(ring))
            sync_directory(path.parent)  # the log's name: it exists since the first read
            undo.pop_all()
            return store

    def _look(self, witnesses: Iterable[Witness]) -> None:
        """See whether this may be an old copy."""
        anchored = self._anchor is not None and self._ledger.root.anchored
        if self._anchor is not None:
            self.anchor_seen = read_anchor(self._anchor, self.ring.seals, self.estate_id)
        self.behind = behind(self.witness, anchored, self.anchor_seen, witnesses)

    @staticmethod
    @contextmanager
    def looked_at(path: Path) -> Iterator[Reader]:
        """Lock a store and read it as it lies there: nothing is migrated, nothing of it is written.

        Nothing is verified either: that takes the root key. Raises NotInitialised, StoreInUse, StoreDamaged,
        StoreFailed.
        """
        with closing(_lock(path)):
            yield Reader(database.look_at(path, with_log=True))

    def start(self, sign_head: Sign | None, on_failure: Callable[[BaseException], None]) -> None:
        """Start the writer. `on_failure` is called once, in the event loop, after the first failed write.

        sign_head: signs head_message() of the last audit record of every commit, in the writer's thread.
        A store that may be an old copy leaves its anchor alone. Raises StoreFailed.
        """
        anchor = None
        if self._anchor is not None and not self.behind:
            with database.translated():
                anchor = Anchor(self._anchor, self.ring.seals, self.estate_id)
                # Durable before any commit says that there is one: else a power cut takes it, and the store
                # is taken for an old copy of itself.
                anchor.put(self.witness)
                anchor.sync()
                sync_directory(self._anchor.parent)
        connection = self._engine.connect()
        self._writer = Writer(
            connection, self._ledger, sign_head, on_failure, anchor, self.committed, self._tell, self.measured
        )

    @property
    def witness(self) -> Witness:
        """Return where the store is: epoch, number of its last commit, and store root."""
        return witness_of(self._ledger)

    def scrub(self, tell: integrity.Tell) -> integrity.Found:
        """Verify every row and the root again, as they are on the disk now; from a thread of its own.

        tell: called after every thousand rows; it may sleep, so that drives are served meanwhile.
        """
        with database.translated(), self._engine.connect() as connection:
            schema.check_objects(connection, self._present)
            return integrity.examine(connection, self.ring.seals, self.estate_id, tell)

    def check_file(self) -> None:
        """Check every page, index and reference, which no MAC covers; StoreDamaged says what is wrong."""
        with database.translated(), self._engine.connect() as connection:
            database.integrity_of(connection)

    def begin_epoch(self, epoch: int) -> None:
        """Have the next commit be the first of a higher epoch; before `start`.

        What was seen of the store before counts no more: it is behind nothing, and whole without an anchor.
        """
        assert self._writer is None
        assert epoch > self._ledger.root.epoch
        self._ledger.root = replace(self._ledger.root, epoch=epoch, anchored=False)
        self.behind = ""

    def copy_to(self, path: Path) -> None:
        """Write the store as of its last commit into a new file; from a thread of its own. StoreFailed."""
        with database.translated():
            database.copy_to(self._engine, path)

    def remove_older(self) -> None:
        """Remove what migrations have left beside the file, durably; from a thread of its own. OSError."""
        schema.remove_older(self._path)

    def put_aside(self) -> list[str]:
        """Return the names of the stores that a restore has put aside, which hold what they held then."""
        directory = self._path.parent
        return sorted(each.name for each in directory.parent.glob(f"{directory.name}.before-restore-*"))

    @property
    def size(self) -> int:
        """Return the bytes of the file and its log on the disk; 0 where they cannot be looked at."""
        total = 0
        for path in (self._path, self._path.with_name(f"{self._path.name}-wal")):
            with suppress(OSError):
                total += path.stat().st_size
        return total

    @property
    def free(self) -> int:
        """Return the bytes that are free on the store's file system. OSError."""
        return shutil.disk_usage(self._path.parent).free

    @property
    def _path(self) -> Path:
        return Path(str(self._engine.url.database))

    def close(self) -> None:
        """Commit what waits, end the writer, close the file and give the lock back.

        After a failed write file and lock are left to the end of the process: closing the file would move
        the log into it, which is a write.
        """
        writer, self._writer = self._writer, None
        if writer is None or writer.stop():
            self._engine.dispose()
            self._lock.close()

    def release(self) -> Lock:
        """Commit what waits and close the file, but keep the lock, which is returned; StoreFailed.

        Until that is closed nobody opens the store: for whoever puts another one in its place.
        """
        writer, self._writer = self._writer, None
        if writer is not None and not writer.stop():
            raise StoreFailed("a write to the store failed; nothing more is written")
        self._engine.dispose()
        return self._lock


def _lock(path: Path) -> Lock:
    """Lock a store that exists."""
    if not path.is_file():
        raise NotInitialised(f"there is no store in {path.parent}")
    with database.translated():
        return Lock(path.with_name("lock"))


def _migrate(path: Path, present: schema.Schema, ring: KeyRing, estate_id: bytes) -> None:
    """Bring an older store to the present revision; it is verified before, and every key of it after."""

    def before(connection: Connection) -> None:
        if integrity.is_authenticated(connection):
            integrity.examine(connection, ring.seals, estate_id).require()

    def after(connection: Connection) -> None:
        schema.check_objects(connection, present)
        integrity.authenticate(connection, ring.seals, estate_id)
        integrity.check_keys(connection, lambda key: ring.open_key(key).wipe())

    schema.upgrade(path, present, before, after)
