"""The writing half of an open store: units of changes go in, from one event loop, and are durable or refused.

Once a server has peers, or may get one, each change of a shared row is noted in the journal, too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Engine

from qekm import clock
from qekm.errors import QekmError, StoreFailed
from qekm.model import Entry, Setting
from qekm.sealing import KeyRing
from qekm.store import engine as database
from qekm.store import journal
from qekm.store.engine import translated
from qekm.store.ledger import Ledger, Sum
from qekm.store.plan import FILLING, FULL, JOURNAL, Unit
from qekm.store.reader import Reader
from qekm.store.shared import SHARED
from qekm.store.stamps import Stamps
from qekm.store.writer import Errand, Results, Work, Writer

_OLDEST_US = 1  # stamp of what was there before anybody kept a journal
_PART = 1_000  # entries in one commit: 5 ms in which no drive is served


class Submitting(Reader):
    """What can be done to a store; `start` of the whole store makes its writer."""

    def __init__(self, engine: Engine, ring: KeyRing, ledger: Ledger) -> None:
        super().__init__(engine)
        self.ring, self._ledger = ring, ledger
        self._writer: Writer | None = None
        self.on_commit: list[Callable[[], None]] = []
        """Each is called in the event loop after commits that the journal tells of."""
        self.stamps: Stamps | None = None
        self._filling = asyncio.Lock()
        with translated(), engine.connect() as connection:
            self._journal_state = self._setting(connection, JOURNAL)
            if self._journal_state:
                self.stamps = Stamps(ledger.instance, clock.now_us, journal.entries(connection))

    @property
    def journaling(self) -> bool:
        """Tell whether changes of shared rows are noted in the journal."""
        return self.stamps is not None

    @property
    def underway_s(self) -> float:
        """Return for how long the transaction under way has been written, s; 0 for none, and in an errand."""
        begun_s = None if self._writer is None else self._writer.begun_s
        return 0.0 if begun_s is None else time.monotonic() - begun_s

    @property
    def journal_end(self) -> int:
        """Return the place of the journal's last entry; 0 for none."""
        return self._ledger.root.journal

    @property
    def trail_end(self) -> int:
        """Return the place of the trail's last record; 0 for none."""
        return self._ledger.root.head.sequence

    @property
    def shared(self) -> tuple[int, Mapping[str, Sum]]:
        """Return the journal's end, and what the shared rows of each table made together at that commit."""
        root = self._ledger.root
        return root.journal, root.shared

    def bucket_sums(self, table: str) -> list[Sum]:
        """Return what the shared rows of each of 64 parts of a table make together; from a thread."""
        with translated(), self._engine.connect() as connection:
            return journal.bucket_sums(connection, self.ring.seals, table)

    async def begin_journal(self) -> None:
        """Note every change of a shared row from now on, and every row that is there; asked again, go on.

        Drives are served meanwhile. StoreFailed.
        """
        async with self._filling:  # of a row that is noted twice at once the store root would know nothing
            if self._journal_state != FULL:
                await self._fill_all()

    async def _fill_all(self) -> None:
        if self.stamps is None:
            self.stamps = Stamps(self._ledger.instance, clock.now_us)
            self._journal_state = FILLING
            await self.commit([Setting(JOURNAL, FILLING)])
        for table in SHARED:
            await self._fill(table)
        self._journal_state = FULL
        await self.commit([Setting(JOURNAL, FULL)])

    async def _fill(self, table: str) -> None:
        """Note the rows of a table that are not in the journal yet."""
        assert self.stamps is not None
        await self.submit_stamped([()])  # what a call that was cancelled has noted is on the disk then
        keys = await asyncio.to_thread(self._missing, table)
        for start in range(0, len(keys), _PART):
            # A row that was changed meanwhile has its own entry, which holds.
            part = [
                Entry(table, key, _OLDEST_US, self.stamps.origin)
                for key in keys[start : start + _PART]
                if self.stamps.wins(table, key, _OLDEST_US, self.stamps.origin)
            ]
            for entry in part:
                self.stamps.see(entry)
            (error,) = await self.submit_stamped([part])
            if error is not None:
                raise error

    def _missing(self, table: str) -> list[str | bytes | int]:
        with translated(), self._engine.connect() as connection:
            return journal.missing(connection, table)

    def submit(self, units: Sequence[Unit]) -> asyncio.Future[Results]:
        """Have each unit committed whole; the future gets, per unit, None or the error that kept it out.

        The units of all callers that wait share one transaction. From the event loop's thread only.
        """
        if self.stamps is not None:
            units = [self.stamps.stamped(unit) for unit in units]
        return self.submit_stamped(units)

    def submit_stamped(self, units: Sequence[Unit]) -> asyncio.Future[Results]:
        """Do as `submit` with units that hold the journal's entries: what other servers have changed."""
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

    async def rewrite(self) -> bool:
        """Write the whole file anew, so that what was erased from rows is on no page; False without the room.

        Drives wait meanwhile: 0.1 s for 10,000 keys, 5 s for a million. StoreFailed.
        """
        return await self._run(database.rewrite)

    async def empty_log(self) -> bool:
        """Move all commits into the file and cut the log to nothing; False while it is read. StoreFailed."""
        return await self._run(database.empty_log)

    async def _run(self, work: Work) -> bool:
        if self._writer is None:
            raise StoreFailed("the store is not open for writing")
        errand = Errand(asyncio.get_running_loop().create_future(), work)
        self._writer.send(errand)
        result = await errand.future
        if isinstance(result, QekmError):
            raise result
        return result

    def _tell(self) -> None:
        for told in self.on_commit:
            told()
