"""BackupsService: backups on request, their list, their proof, their schedule."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from qekm.api.consent import Consents
from qekm.api.fields import sized, stamp
from qekm.api.guard import caller
from qekm.api.journal import Journal
from qekm.api.paging import Paged, cut
from qekm.api.proofs import Proofs
from qekm.backup.aside import Tell
from qekm.backup.keeping import Keeper
from qekm.backup.permission import restore_act
from qekm.backup.records import Backups
from qekm.errors import BadArgument
from qekm.model import Backup
from qekm.sealing.handing import hand_secret
from qekm.secret import Secret
from qekm.v1 import backups_pb2 as pb
from qekm.v1.backups_pb2_grpc import BackupsServiceServicer

_EVERY_S = 0.1  # between two messages of progress
_NAME_LENGTH = 200  # characters

Work = Callable[[Tell], Awaitable[Backup]]


class BackupsServicer(BackupsServiceServicer):
    """Thin: the keeper works and commits; it goes on when the client leaves."""

    def __init__(self, keeper: Keeper, proofs: Proofs, consents: Consents, journal: Journal) -> None:
        self._keeper, self._proofs, self._consents, self._journal = keeper, proofs, consents, journal

    @property
    def _backups(self) -> Backups:
        return self._keeper.backups

    async def CreateBackup(
        self, request: pb.CreateBackupRequest, context: Any
    ) -> AsyncIterator[pb.CreateBackupResponse]:
        """Make a backup and prove it; NoBackupTarget, BackupFailed, ReadOnly."""
        actor = caller().actor
        async for told in _told(lambda tell: self._keeper.create(actor, tell)):
            yield pb.CreateBackupResponse(**told)

    async def ListBackups(self, request: pb.ListBackupsRequest, context: Any) -> pb.ListBackupsResponse:
        """List backups, newest first."""
        page = Paged.of(request)
        rows, token = cut(page, self._backups.page(page.text, page.size + 1), lambda each: each.name)
        return pb.ListBackupsResponse(backups=map(to_proto, rows), next_page_token=token)

    async def VerifyBackup(
        self, request: pb.VerifyBackupRequest, context: Any
    ) -> AsyncIterator[pb.VerifyBackupResponse]:
        """Prove a backup again; UnknownBackup, BackupDamaged, BackupFailed."""
        actor, name = caller().actor, self._backups.find(request.name).name
        async for told in _told(lambda tell: self._keeper.verify(name, actor, tell)):
            yield pb.VerifyBackupResponse(**told)

    async def DrillBackup(
        self, request: pb.DrillBackupRequest, context: Any
    ) -> AsyncIterator[pb.DrillBackupResponse]:
        """Open a backup with the caller's proof and prove it; errors as VerifyBackup, and the slot's."""
        actor, name = caller().actor, self._backups.find(request.name).name
        if request.proof.WhichOneof("means") is None:
            raise BadArgument("nothing was given to open the backup with", field="proof")

        async def drill(tell: Tell) -> Backup:
            """Make the drill; it may wait and go on without its caller, so the secret is its own."""
            with Secret(request.proof.SerializeToString()) as secret:
                return await self._keeper.drill(name, actor, tell, lambda pipe: hand_secret(secret, pipe))

        async for told in _told(lambda tell: self._proofs.tried(lambda: drill(tell))):
            yield pb.DrillBackupResponse(**told)

    async def GetSchedule(self, request: pb.GetScheduleRequest, context: Any) -> pb.GetScheduleResponse:
        """Tell when backups are made and how many are kept."""
        return pb.GetScheduleResponse(schedule=self._schedule())

    async def UpdateSchedule(
        self, request: pb.UpdateScheduleRequest, context: Any
    ) -> pb.UpdateScheduleResponse:
        """Change that; BadArgument."""
        wanted = request.schedule
        changes = self._backups.plan(wanted.every_hours, wanted.keep)
        what = f"every {wanted.every_hours} hours, {wanted.keep} kept"
        await self._journal.commit("UpdateSchedule", changes, message=what)
        return pb.UpdateScheduleResponse(schedule=self._schedule())

    async def PrepareRestore(
        self, request: pb.PrepareRestoreRequest, context: Any
    ) -> pb.PrepareRestoreResponse:
        """Tell that the caller may replace the store by a backup, once; ApprovalNeeded."""
        sha256 = sized(request.sha256, (32,), "sha256")
        if not (request.name.isprintable() and len(request.name) <= _NAME_LENGTH):
            raise BadArgument(f"a name is one line of at most {_NAME_LENGTH} characters", field="name")
        # Whoever decides is told what this key manager knows, not what the caller says.
        name = self._backups.named(sha256) or "a file that this key manager did not make"
        approval_id = await self._consents.ready("PrepareRestore", restore_act(sha256, name))
        return pb.PrepareRestoreResponse(approval_id=approval_id)

    def _schedule(self) -> pb.Schedule:
        backups = self._backups
        return pb.Schedule(
            every_hours=backups.every_hours, keep=backups.keep, next_time=stamp(backups.next_us)
        )


async def _told(work: Work) -> AsyncIterator[dict[str, Any]]:
    """Yield the fields of the answers to a call: progress, at last the backup."""
    news, latest = asyncio.Event(), pb.BackupProgress()

    def tell(step: str, done: int, total: int) -> None:
        latest.step, latest.done, latest.total = step, done, total
        news.set()

    task = asyncio.ensure_future(work(tell))
    task.add_done_callback(lambda _: news.set())
    try:
        while not task.done():
            await news.wait()
            news.clear()
            if latest.step and not task.done():
                yield {"progress": latest}
                await asyncio.wait([task], timeout=_EVERY_S)
        yield {"backup": to_proto(task.result())}
    finally:
        task.cancel()


def to_proto(row: Backup) -> pb.Backup:
    """Return a backup as its message."""
    return pb.Backup(
        name=row.name,
        create_time=stamp(row.create_time_us),
        epoch=row.epoch,
        sequence=row.sequence,
        key_count=row.key_count,
        size=row.size,
        sha256=row.sha256,
        target=row.target,
        independent=row.independent,
        state=pb.BackupState.ValueType(row.state),
        verify_time=stamp(row.verify_time_us),
        drill_time=stamp(row.drill_time_us),
        message=row.message,
    )
