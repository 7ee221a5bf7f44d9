"""The fake of the backups service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qekm.errors import QekmError, UnknownBackup
from qekm.v1 import backups_pb2 as pb

from .parts import moment, page_of


def backup(number: int, **more: Any) -> pb.Backup:
    """Return the number-th backup, VERIFIED unless said otherwise."""
    fields: dict[str, Any] = {
        "name": f"qekm-00010203-e1-{number}.qbk",
        "create_time": moment(number),
        "epoch": 1,
        "sequence": number,
        "key_count": 1024,
        "size": 434_185,
        "sha256": bytes([number]) * 32,
        "target": "/mnt/backups",
        "independent": True,
        "state": pb.BACKUP_STATE_VERIFIED,
        "verify_time": moment(number + 1),
    }
    return pb.Backup(**{**fields, **more})


class FakeBackups:
    """Backups and their schedule."""

    def __init__(self) -> None:
        failed = backup(2, state=pb.BACKUP_STATE_FAILED, message="no space", independent=False)
        self.backups = [backup(3), failed, backup(1)]
        self.schedule = pb.Schedule(every_hours=24, keep=14, next_time=moment(86_400))
        self.refused: QekmError | None = None
        self.proofs: list[Any] = []
        self.prepared: list[Any] = []

    def _answers(self, kind: Any, row: Any, timeout: float | None) -> Iterator[Any]:
        assert timeout and timeout > 30, "a long call needs a deadline of its own"
        if self.refused:
            raise self.refused
        for step, total in (("copying", 1), ("writing", 434_185), ("proving", 1024)):
            for done in (0, total):
                yield kind(progress=pb.BackupProgress(step=step, done=done, total=total))
        yield kind(backup=row)

    def _find(self, name: str) -> Any:
        for row in self.backups:
            if name in ("", row.name):
                return row
        raise UnknownBackup(f"there is no backup {name!r}", backup=name)

    def CreateBackup(self, request: Any, timeout: float | None = None) -> Iterator[Any]:
        """Make one."""
        self.backups.insert(0, backup(4))
        yield from self._answers(pb.CreateBackupResponse, self.backups[0], timeout)

    def ListBackups(self, request: Any) -> Any:
        """Answer a page."""
        rows, token = page_of(self.backups, request)
        return pb.ListBackupsResponse(backups=rows, next_page_token=token)

    def VerifyBackup(self, request: Any, timeout: float | None = None) -> Iterator[Any]:
        """Prove one."""
        yield from self._answers(pb.VerifyBackupResponse, self._find(request.name), timeout)

    def DrillBackup(self, request: Any, timeout: float | None = None) -> Iterator[Any]:
        """Prove one with a proof."""
        self.proofs.append(request.proof)
        yield from self._answers(pb.DrillBackupResponse, self._find(request.name), timeout)

    def GetSchedule(self, request: Any) -> Any:
        """Tell the schedule."""
        return pb.GetScheduleResponse(schedule=self.schedule)

    def UpdateSchedule(self, request: Any) -> Any:
        """Change it."""
        self.schedule.MergeFrom(request.schedule)
        self.schedule.every_hours = request.schedule.every_hours
        return pb.UpdateScheduleResponse(schedule=self.schedule)

    def PrepareRestore(self, request: Any) -> Any:
        """Note what would be restored; a planned error comes first."""
        if self.refused:
            raise self.refused
        self.prepared.append(request)
        return pb.PrepareRestoreResponse(approval_id="0badcafe")
