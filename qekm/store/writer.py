"""The only thread that writes: all that waits goes into one transaction and is answered after its commit.

The first write that fails for a reason of the database or the disk ends all writing (Linux may have dropped
the pages of a failed fsync, so trying again could succeed and lose them): every waiting and later unit gets
StoreFailed, `on_failure` is called once, and the process is expected to stop and recover from the disk.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import secrets
import struct
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from sqlalchemy import Connection, exc

from qekm.errors import Incident, QekmError, StoreFailed
from qekm.failpoints import failpoint
from qekm.model import AuditRecord
from qekm.store.anchor import Anchor, Witness
from qekm.store.chain import Sign
from qekm.store.engine import checkpoint
from qekm.store.ledger import Ledger
from qekm.store.plan import Statements, Unit, UnplannableError, plan

_log = logging.getLogger(__name__)

Results = list[QekmError | None]
Waiting = tuple["asyncio.Future[Results]", Sequence[Unit]]
Work = Callable[[Connection], bool]  # on the file as a whole; tells whether it was done
Committed = Callable[[int, Sequence[AuditRecord]], None]
"""Told in the writer's thread which audit records are durable now, and the first one's place in the trail."""
Measured = Callable[[int, float], None]
"""Told in the writer's thread how many units a commit made durable, and in how many seconds."""

# What a unit's own values can do to a statement. Everything else is the database's or the disk's.
_OWN_FAULT = (exc.IntegrityError, exc.DataError, OverflowError, UnicodeError, UnplannableError, struct.error)

# Rows (and 4 per commit) after which the log is moved into the file: about SQLite's own 1,000 pages.
_CHECKPOINT_AFTER = 1_000


@dataclass(frozen=True, slots=True, eq=False)
class Errand:
    """Work between two transactions, and the future of whoever waits for it."""

    future: asyncio.Future[bool | QekmError]
    work: Work


class Writer:
    """Commits units in groups on one connection; the caller's side is one event loop."""

    def __init__(
        self,
        connection: Connection,
        ledger: Ledger,
        sign: Sign | None,
        on_failure: Callable[[BaseException], None],
        anchor: Anchor | None = None,
        committed: Committed | None = None,
        journaled: Callable[[], None] | None = None,
        measured: Measured | None = None,
    ) -> None:
        self._connection = connection
        self._driver = connection.connection.driver_connection
        self._ledger, self._anchor = ledger, anchor
        self._sign = sign
        self._on_failure, self._committed, self._journaled = on_failure, committed, journaled
        self._measured = measured or (lambda _units, _seconds: None)
        self._statements = Statements.compile(connection.dialect)
        self._queue: SimpleQueue[Waiting | Errand | None] = SimpleQueue()
        self._failure: BaseException | None = None
        self._told = False
        self._unmoved = 0
        self.begun_s: float | None = None  # time.monotonic() at the start of the transaction under way
        self._thread = threading.Thread(target=self._run, name="qekm-store-writer", daemon=True)
        self._thread.start()

    def put(self, future: asyncio.Future[Results], units: Sequence[Unit]) -> None:
        """Hand units over; the future gets one result per unit, in order, after their commit."""
        self._queue.put((future, units))

    def send(self, errand: Errand) -> None:
        """Have work done between two transactions, after what was put before."""
        self._queue.put(errand)

    def stop(self) -> bool:
        """Commit what waits and end the thread; tell whether every write went well."""
        self._queue.put(None)
        self._thread.join()
        if self._failure is not None:
            return False
        self._connection.close()
        if self._anchor is not None:
            self._anchor.close()
        return True

    def _run(self) -> None:
        ended = False
        while not ended:
            batch, errands, ended = self._take()
            if batch:
                self.begun_s = time.monotonic()
                end = self._ledger.root.journal
                results = self._settle([unit for _, units in batch for unit in units])
                first = batch[0][0]
                self._tell(first)  # before the answers: who hears of a failure finds the service stopping
                _post(first, _deliver, batch, results)
                if self._journaled is not None and self._ledger.root.journal > end:
                    _post(first, self._journaled)
                self._checkpoint()
                self.begun_s = None
                self._tell(first)
            for errand in errands:
                result = self._run_errand(errand.work)
                self._tell(errand.future)
                _post(errand.future, _answer, errand.future, result)

    def _take(self) -> tuple[list[Waiting], list[Errand], bool]:
        """Wait for one item, then take all that came meanwhile; tell whether stop() was among them."""
        items = [self._queue.get()]
        while True:
            try:
                items.append(self._queue.get_nowait())
            except Empty:
                errands = [item for item in items if isinstance(item, Errand)]
                return [item for item in items if isinstance(item, tuple)], errands, None in items

    def _settle(self, units: list[Unit]) -> Results:
        """Commit units together; on a fault of one of them halve, until the bad one stands alone."""
        if self._failure is None:
            try:
                self._transact(units)
            except _OWN_FAULT as error:
                if len(units) == 1:
                    return [_incident(error)]
                half = len(units) // 2
                return self._settle(units[:half]) + self._settle(units[half:])
            except BaseException as error:
                self._poison(error)
            else:
                return [None] * len(units)
        return [StoreFailed("a write to the store failed; nothing more is written") for _ in units]

    def _transact(self, units: list[Unit]) -> None:
        begun_s = time.perf_counter()
        steps, draft = plan(units, self._ledger, self._sign, self._statements, self._anchor is not None)
        failpoint("commit.before")
        with self._connection.begin():
            for text, rows in steps:
                self._connection.exec_driver_sql(text, rows)
                self._unmoved += len(rows)
        failpoint("commit.after")
        first = self._ledger.root.head.sequence + 1
        self._ledger.take(draft)
        self._unmoved += 4
        if self._anchor is not None:
            self._anchor.put(witness_of(self._ledger))
            failpoint("anchor.after")
        self._measured(len(units), time.perf_counter() - begun_s)
        self._tell_of(first, units)

    def _tell_of(self, first: int, units: list[Unit]) -> None:
        """Tell who copies the trail of what is new in it; whatever becomes of that, the commit stands."""
        if self._committed is None:
            return
        records = [each for unit in units for each in unit if isinstance(each, AuditRecord)]
        if not records:
            return
        try:
            self._committed(first, records)
        except Exception:
            _log.exception("the logs could not be told of audit record %d", first)

    def _checkpoint(self) -> None:
        """Move the log into the file now and then."""
        if self._failure is None and self._unmoved > _CHECKPOINT_AFTER:
            try:
                failpoint("checkpoint.before")
                checkpoint(self._connection)
                failpoint("checkpoint.after")
                self._unmoved = 0
            except BaseException as error:
                self._poison(error)

    def _run_errand(self, work: Work) -> bool | QekmError:
        """Do work on the file; a failure of it is one of the store."""
        if self._failure is None:
            try:
                return work(self._connection)
            except BaseException as error:
                self._poison(error)
        return StoreFailed("a write to the store failed; nothing more is written")

    def _tell(self, waiting: asyncio.Future[Any]) -> None:
        """Tell of a failure, once, in the event loop of somebody who waits."""
        if self._failure is not None and not self._told:
            self._told = True
            _post(waiting, self._on_failure, self._failure)

    def _poison(self, error: BaseException) -> None:
        self._failure = error
        # One reference for ever: else the end of the interpreter closes the file, and closing it moves the
        # log into it (the failed sync tried again) and removes it.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._driver))
        _log.critical("a write to the store failed; nothing more is written", exc_info=error)


def witness_of(ledger: Ledger) -> Witness:
    """Return what an anchor says of the store as it is now."""
    root = ledger.root
    return Witness(root.epoch, root.sequence, root.mac(ledger.seals, ledger.estate_id))


def _post(waiting: asyncio.Future[Any], call: Callable[..., None], *arguments: object) -> None:
    """Run a call in the event loop of who waits; a loop that was closed has nobody waiting."""
    with suppress(RuntimeError):
        waiting.get_loop().call_soon_threadsafe(call, *arguments)


def _answer(future: asyncio.Future[bool | QekmError], result: bool | QekmError) -> None:
    if not future.done():
        future.set_result(result)


def _deliver(batch: list[Waiting], results: Results) -> None:
    """Answer every future with its share of the results; one that was cancelled is past caring."""
    start = 0
    for future, units in batch:
        if not future.done():
            future.set_result(results[start : start + len(units)])
        start += len(units)


def _incident(error: Exception) -> Incident:
    """Log a refused unit under a number and return what its caller may know of it."""
    incident = secrets.token_hex(4)
    _log.error("incident %s: a unit of changes was refused", incident, exc_info=error)
    return Incident(f"internal error, incident {incident}", incident=incident)
