"""BackupsService over the wire."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from qekm.errors import (
    ApprovalNeeded,
    BackupDamaged,
    BadArgument,
    BadPassword,
    KeyInUse,
    NoBackupTarget,
    PoolEmpty,
    TooMany,
    UnknownBackup,
)
from qekm.model import AuditRecord, KeyState, Outcome
from qekm.tries import FREE
from qekm.v1 import backups_pb2 as pb
from qekm.v1 import keystore_pb2, server_pb2
from qekm.v1.slots_pb2 import Proof
from tests.qekm.api.people import grant, two, waiting
from tests.qekm.api.running import Running, collect, running

PROTECTED = {"keystore__protect": "backup", "backup__target": "../backups", "backup__sameDisk": "true"}
CREATE = pb.CreateBackupRequest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "home"


async def create(run: Running) -> pb.Backup:
    """Make a backup."""
    backup: pb.Backup = (await collect(run.client.backups.CreateBackup(CREATE)))[-1].backup
    return backup


async def listed(run: Running, size: int = 0) -> list[pb.Backup]:
    """Return all backups, page by page."""
    request, found = pb.ListBackupsRequest(page_size=size), list[pb.Backup]()
    while True:
        page = await run.client.backups.ListBackups(request)
        found += page.backups
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


def key_file(run: Running) -> Proof:
    """Return the proof of who has the key file."""
    return Proof(key_file=run.home.root_key.read_bytes())


async def test_a_backup_is_made_with_progress_listed_and_its_keys_are_ready(path: Path) -> None:
    async with running(path, keys=8, **PROTECTED) as run:
        status = await run.client.server.GetStatus(server_pb2.GetStatusRequest())
        assert status.ready_key_count == 0
        assert "there is no verified backup yet" in status.degraded
        answers = await collect(run.client.backups.CreateBackup(CREATE))
        steps = [answer.progress.step for answer in answers[:-1]]
        assert set(steps) <= {"copying", "writing", "reading", "proving"}
        assert all(answer.progress.done <= answer.progress.total for answer in answers)
        made = answers[-1].backup
        assert (made.state, made.key_count, made.independent) == (pb.BACKUP_STATE_VERIFIED, 8, False)
        assert made.HasField("verify_time") and not made.HasField("drill_time")
        second = await create(run)
        assert await listed(run, size=1) == [second, made]
        status = await run.client.server.GetStatus(server_pb2.GetStatusRequest())
        assert status.ready_key_count == 8
        same_disk = "backups are on the store's own file system: backup.sameDisk=true"
        assert [line for line in status.degraded if "backup" in line] == [same_disk]
        keystore = await run.client.keystore.GetKeystore(keystore_pb2.GetKeystoreRequest())
        assert keystore.protection == keystore_pb2.PROTECTION_BACKUP
        records = [record for record in await run.records() if record.event == "backup.create"]
        assert {record.actor for record in records} == {"administrator/administrator"}


async def test_the_service_makes_the_first_one_by_itself(path: Path) -> None:
    async with running(path, keys=8, **PROTECTED) as run:
        until = time.monotonic() + 60
        while not run.service.owners.keystore.counts()[KeyState.READY]:
            assert time.monotonic() < until
            await asyncio.sleep(0.1)
        made: list[AuditRecord] = []
        while not made:  # in memory keys are READY a moment before that is on the disk
            assert time.monotonic() < until
            wanted = "backup.create", Outcome.SUCCESS
            made = [each for each in await run.records() if (each.event, each.outcome) == wanted]
        assert [record.actor for record in made] == ["server"]


async def test_without_a_target_there_are_no_backups_and_no_new_keys(path: Path) -> None:
    async with running(path, keys=8) as run:
        with pytest.raises(NoBackupTarget):
            await create(run)
        assert await listed(run) == []
    text = run.home.config.read_text("latin-1").replace("protect=none", "protect=backup")
    run.home.config.write_text(text, "latin-1")
    async with running(path) as run:
        await run.store.commit([*run.service.owners.keystore.generate(1, "default")])
        degraded = (await run.client.server.GetStatus(server_pb2.GetStatusRequest())).degraded
        assert any("nowhere to put a backup" in line for line in degraded)


async def test_verify_names_what_it_proved_and_what_is_damaged(path: Path) -> None:
    async with running(path, keys=8, **PROTECTED) as run:
        made = await create(run)
        answers = await collect(run.client.backups.VerifyBackup(pb.VerifyBackupRequest()))
        assert answers[-1].backup.name == made.name
        with pytest.raises(UnknownBackup, match="'none'"):
            await collect(run.client.backups.VerifyBackup(pb.VerifyBackupRequest(name="none")))
        file = path.parent / "backups" / made.name
        file.write_bytes(file.read_bytes()[:-1])
        with pytest.raises(BackupDamaged):
            await collect(run.client.backups.VerifyBackup(pb.VerifyBackupRequest(name=made.name)))
        assert (await listed(run))[0].state == pb.BACKUP_STATE_FAILED


async def test_no_call_names_a_file_or_a_place(path: Path) -> None:
    """A name is looked up among the backups that were made, and is never a path."""
    async with running(path, keys=8, **PROTECTED) as run:
        made = await create(run)
        for name in (f"../backups/{made.name}", f"/{made.name}", f"./{made.name}", "..", "\0"):
            with pytest.raises(UnknownBackup):
                await collect(run.client.backups.VerifyBackup(pb.VerifyBackupRequest(name=name)))
    assert {field.name for field in pb.CreateBackupRequest.DESCRIPTOR.fields} == set()


async def test_a_drill_needs_what_opens_a_slot_and_is_remembered(path: Path) -> None:
    async with running(path, keys=8, **PROTECTED) as run:
        made = await create(run)
        drill = run.client.backups.DrillBackup
        with pytest.raises(BadArgument, match="nothing was given"):
            await collect(drill(pb.DrillBackupRequest()))
        wrong = Proof(key_file=os.urandom(32))
        with pytest.raises(BadPassword):
            await collect(drill(pb.DrillBackupRequest(proof=wrong)))
        answers = await collect(drill(pb.DrillBackupRequest(name=made.name, proof=key_file(run))))
        assert answers[-1].backup.HasField("drill_time")
        keystore = await run.client.keystore.GetKeystore(keystore_pb2.GetKeystoreRequest())
        assert keystore.drill_time == answers[-1].backup.drill_time
        outcomes = [record.outcome for record in await run.records() if record.event == "backup.drill"]
        assert outcomes == [Outcome.FAILURE, Outcome.SUCCESS]


async def test_whoever_guesses_in_drills_has_to_wait(path: Path) -> None:
    async with running(path, keys=1, **PROTECTED) as run:
        await create(run)
        request = pb.DrillBackupRequest(proof=Proof(key_file=os.urandom(32)))
        with pytest.raises(TooMany):
            for _ in range(10):
                with pytest.raises(BadPassword):
                    await collect(run.client.backups.DrillBackup(request))


async def test_of_many_guesses_at_once_few_are_made(path: Path) -> None:
    async with running(path, keys=1, **PROTECTED) as run:
        await create(run)
        requests = [pb.DrillBackupRequest(proof=Proof(key_file=os.urandom(32))) for _ in range(30)]
        drills = (collect(run.client.backups.DrillBackup(each)) for each in requests)
        told = await asyncio.gather(*drills, return_exceptions=True)
        assert {type(each) for each in told} == {BadPassword, TooMany}
        assert FREE <= sum(isinstance(each, BadPassword) for each in told) < 2 * FREE


@pytest.mark.parametrize("right", [True, False])
async def test_a_drill_that_waits_goes_on_with_its_proof_and_counts_when_its_caller_leaves(
    path: Path, right: bool
) -> None:
    async with running(path, keys=1, **PROTECTED) as run:
        await create(run)
        keeper, free, proof = run.service.duties.keeper, asyncio.Event(), key_file(run)
        for _ in range(1 if right else FREE):
            request = pb.DrillBackupRequest(proof=proof if right else Proof(key_file=os.urandom(32)))
            free.clear()
            before = asyncio.create_task(keeper._in_turn("server", lambda: _until(free)))
            stream: Any = run.client.backups.DrillBackup(request)
            reading = asyncio.create_task(collect(stream))
            while len(keeper._tasks) < 2:
                await asyncio.sleep(0.01)
            stream.cancel()
            await asyncio.wait([reading])
            free.set()
            await asyncio.wait([before])
            while keeper.busy:
                await asyncio.sleep(0.01)
        (*_, outcome) = [record.outcome for record in await run.records() if record.event == "backup.drill"]
        assert outcome is (Outcome.SUCCESS if right else Outcome.FAILURE)
        if not right:
            with pytest.raises(TooMany):
                await collect(run.client.backups.DrillBackup(pb.DrillBackupRequest(proof=proof)))


async def _until(free: asyncio.Event) -> Any:
    """Be other work of the keeper, until it is over."""
    await free.wait()


async def test_the_schedule_is_told_changed_and_lasts(path: Path) -> None:
    async with running(path, keys=1, **PROTECTED) as run:
        told = (await run.client.backups.GetSchedule(pb.GetScheduleRequest())).schedule
        assert (told.every_hours, told.keep) == (24, 14)
        wanted = pb.Schedule(every_hours=6, keep=3)
        changed = await run.client.backups.UpdateSchedule(pb.UpdateScheduleRequest(schedule=wanted))
        assert (changed.schedule.every_hours, changed.schedule.keep) == (6, 3)
        with pytest.raises(BadArgument, match="keep"):
            await run.client.backups.UpdateSchedule(
                pb.UpdateScheduleRequest(schedule=pb.Schedule(every_hours=1))
            )
    async with running(path) as run:
        told = (await run.client.backups.GetSchedule(pb.GetScheduleRequest())).schedule
        assert (told.every_hours, told.keep) == (6, 3)


async def test_a_client_that_leaves_does_not_stop_the_backup(path: Path) -> None:
    async with running(path, keys=8, **PROTECTED) as run:
        stream: Any = run.client.backups.CreateBackup(CREATE)
        async for _ in stream:
            break
        stream.cancel()
        until = time.monotonic() + 60
        while not any(row.state == pb.BACKUP_STATE_VERIFIED for row in await listed(run)):
            assert time.monotonic() < until
            await asyncio.sleep(0.1)


async def test_a_restore_takes_a_second_person_who_approves_this_very_file(path: Path) -> None:
    async with running(path, keys=1) as run, two(run) as (alice, bob):
        request = pb.PrepareRestoreRequest(sha256=bytes(range(32)), name="some.qbk")
        asked = await waiting(alice.backups.PrepareRestore(request))
        with pytest.raises(ApprovalNeeded):
            await alice.backups.PrepareRestore(request)
        await grant(bob, asked)
        for _ in range(2):  # it is used up by the restore, not by the question
            assert (await alice.backups.PrepareRestore(request)).approval_id == asked
        with pytest.raises(ApprovalNeeded):
            await alice.backups.PrepareRestore(pb.PrepareRestoreRequest(sha256=bytes(32), name="some.qbk"))
        for bad in ({"sha256": b"x"}, {"sha256": bytes(32), "name": "a\nb"}):
            with pytest.raises(BadArgument):
                await alice.backups.PrepareRestore(pb.PrepareRestoreRequest(**bad))


async def test_where_one_person_may_restore_nothing_is_asked(path: Path) -> None:
    async with running(path, keys=1, twoPerson="off") as run:
        request = pb.PrepareRestoreRequest(sha256=bytes(32), name="some.qbk")
        assert (await run.client.backups.PrepareRestore(request)).approval_id == ""


async def test_keys_that_wait_for_a_backup_are_given_to_nobody(path: Path) -> None:
    async with running(path, keys=8, **PROTECTED) as run:
        owners = run.service.owners
        with pytest.raises(PoolEmpty):
            owners.allocator.choose(None)
        (key, *_) = owners.keystore
        with pytest.raises(KeyInUse):
            owners.keystore.mark(key, KeyState.ASSIGNED)
        await create(run)
        assert owners.allocator.choose(None).state is KeyState.READY
