"""The work on one backup's file while the service runs: made, proved in another process, copied away."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from qekm.backup.aside import Tell, aside
from qekm.backup.child import Hand, prove_elsewhere
from qekm.backup.members import AUDIT_KEY, CONFIG
from qekm.backup.proving import Proved
from qekm.backup.target import Target
from qekm.backup.writing import Sealing, Written, write
from qekm.errors import BackupFailed, NoBackupTarget, StoreDamaged, StoreFailed
from qekm.failpoints import failpoint
from qekm.home import Home
from qekm.sealing.handing import hand_over

_SCRATCH = "backup-"  # what the names of directories in the home's run/ begin with


class Copies(Protocol):
    """What makes a consistent copy of the store (qekm.store.Store)."""

    def copy_to(self, path: Path) -> None:
        """Write the store as of its last commit into a new file; StoreFailed."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """Everything that is needed to make and prove a backup, and nothing of what is remembered of it."""

    home: Home
    store: Copies
    sealing: Sealing
    target: Target | None

    def require(self) -> Target:
        """Return where backups go; NoBackupTarget."""
        if self.target is None:
            raise NoBackupTarget("the configuration names no place for backups")
        return self.target

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a directory, 0700, for a copy and for a proof, and leave nothing of it behind."""
        try:
            self.home.run.mkdir(mode=0o700, exist_ok=True)
            directory = Path(tempfile.mkdtemp(prefix=_SCRATCH, dir=self.home.run))
        except OSError as error:
            raise BackupFailed(f"{self.home.run} cannot be written: {error.strerror}") from None
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def tidy(self) -> None:
        """Remove what a crash left: copies and proofs, which hold nothing that is not sealed."""
        for left in self.home.run.glob(f"{_SCRATCH}*"):
            shutil.rmtree(left, ignore_errors=True)

    async def write(self, scratch: Path, tell: Tell) -> Written:
        """Write a backup of the store as it is now; it lies under its name when this returns.

        NoBackupTarget, BackupFailed.
        """
        target = self.require()

        def work(report: Tell) -> Written:
            """Copy and write, in a thread."""
            failpoint("backup.before")
            target.check()
            copy = scratch / "copy.db"
            report("copying", 0, 1)
            self.store.copy_to(copy)
            report("copying", 1, 1)
            public = self.sealing.audit_public_pem
            others = {CONFIG: self.home.config.read_bytes(), AUDIT_KEY: public}
            written = write(copy, others, target.directory, self.sealing, report)
            copy.unlink()
            return written

        try:
            return await aside(work, tell)
        except (StoreFailed, StoreDamaged) as error:
            raise BackupFailed(f"the store cannot be copied: {error.message}") from error
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            raise BackupFailed(f"the backup cannot be made: {what}") from error

    async def prove(self, path: Path, scratch: Path, tell: Tell, hand: Hand | None = None) -> Proved:
        """Prove a backup in another process; by what the service holds, or by what a person has (`hand`).

        BackupDamaged, UnknownBackup, BackupFailed, and what a slot raises.
        """
        words = ("--proof",) if hand else ()
        hand = hand or (lambda pipe: hand_over(self.sealing.ring, pipe))
        return await prove_elsewhere(self.home.path, path, scratch / "proof", hand, tell, words)

    async def is_elsewhere(self) -> bool:
        """Tell whether the backups' directory is on another file system than the store; NoBackupTarget."""
        target = self.require()
        try:
            return await aside(lambda _: target.is_elsewhere(self.home.store_directory), lambda *_: None)
        except OSError as error:
            raise NoBackupTarget(f"{target.directory} cannot be used: {error.strerror}") from None
