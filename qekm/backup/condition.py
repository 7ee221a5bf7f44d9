"""What every status says of the backups: a line for each thing that is not as it should be. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qekm.backup.records import Backups
from qekm.estate import UNPROTECTED
from qekm.model import BackupState

DRILL_DAYS = 90
SAME_DISK = "backups are on the store's own file system: backup.sameDisk=true"
_DAY_US = 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class Condition:
    """What there is to say something about."""

    protected: bool  # new keys wait for a backup
    has_target: bool
    elsewhere: bool  # the target is on another file system, or a command copies from it
    same_disk: bool  # one on the same file system counts, too
    failure: str  # why the last try failed; empty if it did not
    created_seq: int  # of the newest key
    now_us: int
    by_peer: bool = False  # new keys wait for a peer instead

    def lines(self, backups: Backups) -> Iterator[str]:
        """Yield what is not as it should be."""
        if not self.protected:
            yield UNPROTECTED
        if not self.has_target:
            if self.by_peer:
                yield "there is nowhere to put a backup (backup.target): nothing but peers has the keys, too"
            elif self.protected:
                yield "there is nowhere to put a backup (backup.target): new keys are not given out"
            return
        yield from self._keys(backups)
        if not self.elsewhere and self.same_disk:
            yield SAME_DISK
        elif not self.elsewhere:
            yield "backups are on the store's own file system, or in memory, and do not count (backup.target)"
        last = backups.last()
        failed = last.message if last and last.state is BackupState.FAILED else ""
        if self.failure or failed:
            yield f"the last backup failed: {self.failure or failed}"
        yield from self._drill(backups)

    def _keys(self, backups: Backups) -> Iterator[str]:
        newest = backups.newest()
        if newest is None:
            yield "there is no verified backup yet"
        elif newest.created_seq < self.created_seq:
            yield f"{self.created_seq - newest.created_seq:,} keys are in no verified backup"

    def _drill(self, backups: Backups) -> Iterator[str]:
        since_us = backups.drill_us or backups.first_us
        days = (self.now_us - since_us) // _DAY_US
        if since_us and days > DRILL_DAYS:
            yield f"nobody has opened a backup with shares or a password for {days} days: qekm backup drill"
