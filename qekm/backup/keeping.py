"""The conversation that keeps the store backed up while the service runs: one piece of work at a time.

A backup is VERIFIED only when it was proved from the disk and, where a command is named, copied away; the
keys that it protects become READY in the same commit. What was begun goes on when whoever asked leaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from qekm.audit import SERVICE, occurred
from qekm.backup.aside import Tell, aside
from qekm.backup.child import Hand
from qekm.backup.making import Workshop
from qekm.backup.proving import Proved
from qekm.backup.records import Backups
from qekm.backup.target import Target
from qekm.backup.writing import Written
from qekm.errors import (
    BackupDamaged,
    BackupFailed,
    Draining,
    NoBackupTarget,
    QekmError,
    ReadOnly,
    StoreFailed,
    TooMany,
)
from qekm.failpoints import failpoint
from qekm.keystore import Keystore
from qekm.model import Backup, BackupState, Change, KeyState, Outcome
from qekm.protection import Protection

_log = logging.getLogger(__name__)

BATCH = 1_024  # keys that become READY in one commit: a whole pool
MOST_WAITING = 4  # works that somebody asked for: one of 100,000 keys takes half a minute
MAKE, PROVE, DRILL, REMOVE = "backup.create", "backup.verify", "backup.drill", "backup.remove"  # events


class Commits(Protocol):
    """What makes a unit of changes durable (qekm.store.Store)."""

    async def commit(self, changes: Sequence[Change]) -> None:
        """Return when the unit is durable; StoreFailed, Incident."""


def mute(_step: str, _done: int, _total: int) -> None:
    """Tell nobody."""


class Keeper:
    """Makes, proves and removes backups; made and run in one event loop."""

    def __init__(
        self,
        workshop: Workshop,
        backups: Backups,
        keystore: Keystore,
        protection: Protection,
        store: Commits,
        now_us: Callable[[], int],
    ) -> None:
        """Take the owners; `start` is to be called before anything is asked for."""
        self._workshop, self._keystore, self._protection = workshop, keystore, protection
        self._store, self._now_us = store, now_us
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.backups, self.closed = backups, False
        self.failure, self.failures, self.failed_us = "", 0, 0  # why, how often in a row, when last
        self.elsewhere = True  # whether backups are on another file system; until it is known
        # Keys up to this one need no new backup. If some wait, they waited for one that did not count.
        newest = backups.newest()
        waiting = keystore.few(KeyState.GENERATED)
        self.covered = 0 if waiting or newest is None else newest.created_seq

    async def start(self) -> None:
        """Put right what a former stop left, and find out where the backups are. StoreFailed."""
        await asyncio.to_thread(self._workshop.tidy)
        why = "the service stopped while it was being proved"
        changes: list[Change] = [self._put(each, BackupState.FAILED, why) for each in self.backups.unproved()]
        if changes:
            await self._store.commit(changes)
        if not self._keystore.must_wait:
            await self._release()
        if self._workshop.target is not None:
            self._begin(self._look())

    async def close(self) -> None:
        """Call off what is under way, and begin nothing any more: what is asked for then is Draining."""
        self.closed = True
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def busy(self) -> bool:
        """Return whether something is under way."""
        return bool(self._tasks)

    @property
    def target(self) -> Target | None:
        """Return where backups go."""
        return self._workshop.target

    # What somebody asks for.

    async def create(self, actor: str, tell: Tell) -> Backup:
        """Make a backup and return it VERIFIED; NoBackupTarget, ReadOnly, BackupFailed, StoreFailed."""
        return await self._in_turn(actor, lambda: self._create(actor, tell))

    async def verify(self, name: str, actor: str, tell: Tell) -> Backup:
        """Prove a backup as it lies there now; UnknownBackup, BackupDamaged, BackupFailed, StoreFailed."""
        return await self._in_turn(actor, lambda: self._check(name, actor, tell, PROVE, None))

    async def drill(self, name: str, actor: str, tell: Tell, hand: Hand) -> Backup:
        """Prove a backup with what a person has; errors as `verify`, and those of the slot.

        hand: writes what the person has into a pipe, for the other process.
        """
        return await self._in_turn(actor, lambda: self._check(name, actor, tell, DRILL, hand))

    # Parts of the above.

    async def _create(self, actor: str, tell: Tell) -> Backup:
        if self._keystore.read_only:
            raise ReadOnly(f"no backup is made of this store: {self._keystore.read_only}")
        self._workshop.require()
        await self._tell(MAKE, actor, Outcome.INTENT)
        made: list[Backup] = []
        try:
            with self._workshop.scratch() as scratch:
                return await self._made(actor, scratch, tell, made)
        except StoreFailed:
            raise
        except (QekmError, OSError) as error:
            raise await self._failed(actor, error, made) from error

    async def _made(self, actor: str, scratch: Path, tell: Tell, made: list[Backup]) -> Backup:
        """Make a backup in a scratch directory; `made` takes it as soon as there is a row of it."""
        written = await self._workshop.write(scratch, tell)
        self.elsewhere = await self._workshop.is_elsewhere()
        target = self._workshop.require()
        row = _row(written, self.elsewhere, str(target.directory))
        made.append(self.backups.put(row))
        await self._store.commit([row])
        proved = await self._workshop.prove(written.path, scratch, tell)
        _compare(proved, row)
        if target.command:
            await target.copy_away(written.path)
            row = replace(row, independent=True)
        failpoint("backup.verified")
        row = await self._verified(row, actor, MAKE)
        self.failures, self.failure = 0, ""
        self.covered = max(self.covered, row.created_seq)
        await self._sweep(target.directory)
        return row

    async def _check(self, name: str, actor: str, tell: Tell, event: str, hand: Hand | None) -> Backup:
        row = self.backups.find(name)
        path = Path(row.target) / row.name
        try:
            with self._workshop.scratch() as scratch:
                proved = await self._workshop.prove(path, scratch, tell, hand)
            _compare(proved, row)
        except QekmError as error:
            # A file that is not there may be on a disk that is not mounted: that says nothing of the backup.
            damaged = isinstance(error, BackupDamaged)
            changes = [self._put(row, BackupState.FAILED, error.message)] if damaged else []
            await self._tell(event, actor, Outcome.FAILURE, f"{row.name}: {error.message}", changes)
            raise
        if event == DRILL:
            row = replace(row, drill_time_us=self._now_us())
        return await self._verified(row, actor, event)

    async def _verified(self, row: Backup, actor: str, event: str) -> Backup:
        """Make a proved backup VERIFIED, and READY what it protects if it counts."""
        row = replace(row, state=BackupState.VERIFIED, verify_time_us=self._now_us(), message="")
        failpoint("ready.before")
        what = f"{row.name}, {row.key_count:,} keys"
        record = occurred(self._now_us(), event, actor, message=what)
        target = self._workshop.target
        counts = row.independent or bool(target and target.same_disk)
        ready = self._protection.backed_up(row.created_seq, BATCH) if counts else []
        await self._store.commit([self.backups.put(row), *ready, record])
        if len(ready) >= BATCH:
            await self._release()
        return row

    async def _release(self) -> None:
        """Make all keys READY that may be, in commits between which drives are served."""
        while ready := self._protection.due(BATCH):
            await self._store.commit(ready)

    async def _failed(self, actor: str, error: QekmError | OSError, made: Sequence[Backup]) -> QekmError:
        """Remember why a backup failed, when to try again, and return the error for whoever asked."""
        message = error.message if isinstance(error, QekmError) else f"{error.strerror or error}"
        self.failures, self.failure, self.failed_us = self.failures + 1, message, self._now_us()
        _log.error("a backup failed: %s", message)
        changes = [self._put(each, BackupState.FAILED, message) for each in made]
        await self._tell(MAKE, actor, Outcome.FAILURE, message, changes)
        if self._workshop.target is not None:
            await self._sweep(self._workshop.target.directory)
        if isinstance(error, BackupFailed | NoBackupTarget):
            return error
        return BackupFailed(f"the backup does not prove: {message}")

    async def _sweep(self, directory: Path) -> None:
        """Remove files that need not be kept; one that cannot be removed is tried again next time."""
        for row in self.backups.outdated(directory):
            path = directory / row.name
            try:
                await aside(_removal(path), mute)
            except OSError as error:
                _log.warning("the old backup %s cannot be removed: %s", path, error.strerror)
                continue
            await self._tell(
                REMOVE, SERVICE, Outcome.SUCCESS, row.name, [self._put(row, BackupState.REMOVED, row.message)]
            )

    async def _look(self) -> None:
        """Find out whether the directory is on another file system, for the status."""
        try:
            self.elsewhere = await self._workshop.is_elsewhere()
        except NoBackupTarget as error:
            self.failure = error.message

    def _put(self, row: Backup, state: BackupState, message: str) -> Backup:
        return self.backups.put(replace(row, state=state, message=message))

    async def _tell(
        self, event: str, actor: str, outcome: Outcome, message: str = "", changes: Sequence[Change] = ()
    ) -> None:
        record = occurred(self._now_us(), event, actor, outcome, message=message)
        await self._store.commit([*changes, record])

    async def _in_turn(self, actor: str, work: Callable[[], Coroutine[Any, Any, Backup]]) -> Backup:
        """Do a piece of work when those before it are done, in a task that outlives whoever asked for it.

        Draining, and TooMany when as much as that waits already: new keys wait for backups, too.
        """
        if self.closed:
            raise Draining("the service is stopping")
        if actor != SERVICE and len(self._tasks) >= MOST_WAITING:
            raise TooMany(f"{len(self._tasks)} works on backups wait already", limit=str(MOST_WAITING))

        async def turn() -> Backup:
            async with self._turn:
                return await work()

        return await asyncio.shield(self._begin(turn()))

    def _begin(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # told already, and whoever asked may have left


def _removal(path: Path) -> Callable[[Tell], None]:
    return lambda _tell: path.unlink(missing_ok=True)


def _row(written: Written, independent: bool, target: str) -> Backup:
    header = written.header
    return Backup(
        header.name,
        header.create_time_us,
        header.epoch,
        header.sequence,
        header.created_seq,
        header.key_count,
        written.size,
        written.sha256,
        target,
        independent,
    )


def _compare(proved: Proved, row: Backup) -> None:
    """Raise BackupDamaged unless what was proved is what was written."""
    if bytes.fromhex(proved.sha256) != row.sha256:
        raise BackupDamaged("the file is not the one that was written", backup=row.name)
