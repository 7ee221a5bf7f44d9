"""Backups as the service makes, proves, keeps and removes them; the proof runs in a real process."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from qekm.backup.codec import TRAILER
from qekm.backup.keeping import mute
from qekm.backup.reading import cover_at, seen
from qekm.errors import (
    BackupDamaged,
    BackupFailed,
    BadPassword,
    Draining,
    NoBackupTarget,
    QekmError,
    ReadOnly,
    UnknownBackup,
)
from qekm.model import BackupState, KeyState, Outcome
from qekm.sealing.handing import hand_secret
from qekm.secret import Secret
from qekm.store.anchor import Witness
from qekm.v1.slots_pb2 import Proof
from tests.qekm.backup.kept import Kept, kept

SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000


def proof(content: bytes) -> Callable[[int], None]:
    """Return what hands a key file over, as a person's proof."""
    secret = Secret(Proof(key_file=content).SerializeToString())
    return lambda pipe: hand_secret(secret, pipe)


async def idle(run: Kept) -> None:
    """Wait until nothing is under way."""
    until = time.monotonic() + 60
    while run.keeper.busy:
        assert time.monotonic() < until
        await asyncio.sleep(0.02)


async def test_a_backup_is_written_proved_and_makes_its_keys_ready(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        assert run.count(KeyState.GENERATED) == 8
        made = await run.keeper.create("administrator/anna", run.tell)
        assert made.state is BackupState.VERIFIED
        assert (run.count(KeyState.GENERATED), run.count(KeyState.READY)) == (0, 8)
        assert (made.key_count, made.created_seq, made.epoch) == (8, 8, 1)
        path = run.target.directory / made.name
        content = path.read_bytes()
        assert (len(content), sha256(content).digest()) == (made.size, made.sha256)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert run.files() == [made.name]
        assert run.store.load().backups == [made]
        assert [key.state for key in run.store.load().keys] == [KeyState.READY] * 8
        assert [step for step, *_ in run.steps] == sorted([step for step, *_ in run.steps], key=_order)
        assert {step for step, *_ in run.steps} == {"copying", "writing", "reading", "proving"}
        assert list(run.home.run.iterdir()) == []
        told = [(record.outcome, record.actor) for record in run.records("backup.create")]
        assert told == [(Outcome.INTENT, "administrator/anna"), (Outcome.SUCCESS, "administrator/anna")]
        assert run.routine.lines() == ["backups are on the store's own file system: backup.sameDisk=true"]


def _order(step: str) -> int:
    return ("copying", "writing", "reading", "proving").index(step)


async def test_no_key_and_no_secret_of_the_service_is_in_the_file_in_clear(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        made = await run.keeper.create("a/b", mute)
        content = (run.target.directory / made.name).read_bytes()
        for key in run.keystore:
            with run.store.ring.open_key(key) as material:
                assert material.reveal() not in content
            assert key.sealed not in content
            assert key.alias.encode() not in content
        assert run.home.root_key.read_bytes() not in content


async def test_a_backup_on_the_same_file_system_counts_only_where_that_is_spelled_out(tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    first = {"backup__sameDisk": "true"}  # init asks for it, or for another file system
    async with kept(tmp_path, **first) as run:
        text = run.home.config.read_text("latin-1").replace("sameDisk=true", "sameDisk=false")
        run.home.config.write_text(text, "latin-1")
    async with kept(tmp_path) as run:
        made = await run.keeper.create("a/b", mute)
        assert (made.state, made.independent) == (BackupState.VERIFIED, False)
        assert run.count(KeyState.GENERATED) == 8
        assert run.routine.lines() == [
            "backups are on the store's own file system, or in memory, and do not count (backup.target)"
        ]
        assert await run.keeper.verify("", "a/b", mute) == run.keeper.backups.newest()
        assert run.count(KeyState.GENERATED) == 8
        run.home.config.write_text(text.replace("sameDisk=false", "sameDisk=true"), "latin-1")
    async with kept(tmp_path) as run:
        await settle(run)
        assert run.count(KeyState.READY) == 8


async def settle(run: Kept) -> None:
    """Have the routine look as often as it takes for new keys to be backed up."""
    await idle(run)
    await run.routine.tick()
    run.clock.ahead_us += 3 * SECOND
    await run.routine.tick()
    await asyncio.sleep(0)
    await idle(run)


async def test_a_command_that_copied_it_away_makes_it_independent(tmp_path: Path) -> None:
    (away := tmp_path / "away").mkdir()
    words = {"backup__sameDisk": "false", "backup__command": f"/bin/cp -t {away}"}
    async with kept(tmp_path, **words) as run:
        made = await run.keeper.create("a/b", mute)
        assert made.independent
        assert run.count(KeyState.READY) == 8
        assert sha256((away / made.name).read_bytes()).digest() == made.sha256
        assert run.routine.lines() == []


async def test_a_command_that_fails_fails_the_backup(tmp_path: Path) -> None:
    async with kept(tmp_path, backup__command="/bin/sh -c 'echo no route; exit 1'") as run:
        with pytest.raises(BackupFailed, match="ended with 1: no route"):
            await run.keeper.create("a/b", mute)
        assert run.count(KeyState.GENERATED) == 8
        (row,) = run.store.load().backups
        assert (row.state, "no route" in row.message) == (BackupState.FAILED, True)
        assert any("the last backup failed: backup.command" in line for line in run.routine.lines())
        assert [record.outcome for record in run.records("backup.create")] == [
            Outcome.INTENT,
            Outcome.FAILURE,
        ]


async def test_a_target_that_is_missing_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        run.target.directory.rmdir()
        with pytest.raises(NoBackupTarget, match="is not there"):
            await run.keeper.create("a/b", mute)
        assert run.store.load().backups == []
        assert list(run.home.run.iterdir()) == []
        assert "the last backup failed: the directory" in run.routine.lines()[-1]
        run.target.directory.mkdir()
        await run.keeper.create("a/b", mute)
        assert not any("failed" in line for line in run.routine.lines())


async def test_a_file_that_another_history_of_the_store_made_is_not_overwritten(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        witness = run.store.witness
        estate = run.owners.estate_id.hex()[:8]
        name = f"qekm-{estate}-e1-{witness.sequence + 1}.qbk"  # one more: the intent is recorded first
        (run.target.directory / name).write_bytes(b"precious")
        with pytest.raises(BackupFailed, match="is there already"):
            await run.keeper.create("a/b", mute)
        assert (run.target.directory / name).read_bytes() == b"precious"
        await run.keeper.create("a/b", mute)


async def test_a_file_that_is_altered_while_it_is_written_is_never_verified(tmp_path: Path) -> None:
    """Between its name and its proof, as a disk that lies would."""
    async with kept(tmp_path) as run:
        task = asyncio.create_task(run.keeper.create("a/b", run.tell))
        while not run.files() or run.files()[0].startswith("."):
            await asyncio.sleep(0)
        with (run.target.directory / run.files()[0]).open("r+b") as file:  # before its proof has even begun
            file.seek(-300, os.SEEK_END)
            file.write(b"xx")
        with pytest.raises(BackupFailed, match="does not prove"):
            await task
        assert run.keeper.backups.newest() is None
        assert run.count(KeyState.GENERATED) == 8


@pytest.mark.parametrize("place", [40, -TRAILER - 20])
async def test_a_verified_backup_that_was_altered_is_found_when_it_is_proved_again(
    tmp_path: Path, place: int
) -> None:
    async with kept(tmp_path) as run:
        made = await run.keeper.create("a/b", mute)
        path = run.target.directory / made.name
        content = bytearray(path.read_bytes())
        content[place] ^= 4
        path.write_bytes(content)
        with pytest.raises(BackupDamaged):
            await run.keeper.verify(made.name, "a/b", mute)
        (row,) = run.store.load().backups
        assert row.state is BackupState.FAILED
        assert run.records("backup.verify")[0].outcome is Outcome.FAILURE
        assert any("no verified backup" in line for line in run.routine.lines())
        content[place] ^= 4
        path.write_bytes(content)
        assert (await run.keeper.verify(made.name, "a/b", mute)).state is BackupState.VERIFIED


async def test_a_backup_that_is_gone_or_another_one_of_this_store_is_not_the_one_that_was_written(
    tmp_path: Path,
) -> None:
    async with kept(tmp_path) as run:
        first = await run.keeper.create("a/b", mute)
        second = await run.keeper.create("a/b", mute)
        paths = [run.target.directory / row.name for row in (first, second)]
        paths[1].replace(paths[0])
        with pytest.raises(BackupDamaged, match="not the one that was written"):
            await run.keeper.verify(first.name, "a/b", mute)
        with pytest.raises(UnknownBackup, match="there is no file"):
            await run.keeper.verify(second.name, "a/b", mute)
        states = {row.name: row.state for row in run.store.load().backups}
        assert states == {first.name: BackupState.FAILED, second.name: BackupState.VERIFIED}


async def test_backups_whose_disk_was_away_when_they_were_proved_are_kept(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        made = [await run.keeper.create("a/b", mute) for _ in range(3)]
        run.target.directory.rename(tmp_path / "away")
        run.target.directory.mkdir()  # as a mount point is, without its disk
        for row in made:
            with pytest.raises(UnknownBackup):
                await run.keeper.verify(row.name, "a/b", mute)
        assert run.store.load().backups == made
        run.target.directory.rmdir()
        (tmp_path / "away").rename(run.target.directory)
        last = await run.keeper.create("a/b", mute)
        assert run.files() == sorted(row.name for row in [*made, last])


async def test_a_store_that_is_damaged_on_the_disk_makes_no_good_backup(tmp_path: Path) -> None:
    import sqlite3

    async with kept(tmp_path) as run:
        other = sqlite3.connect(run.home.store)
        other.execute("UPDATE keys SET sealed = zeroblob(76) WHERE created_seq = 3")
        other.commit()
        other.close()
        with pytest.raises(BackupFailed, match="rows of the store do not verify: keys"):
            await run.keeper.create("a/b", mute)
        assert run.count(KeyState.GENERATED) == 8


async def test_two_at_once_are_made_one_after_the_other(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        made = await asyncio.gather(*(run.keeper.create("a/b", mute) for _ in range(3)))
        assert len({row.name for row in made}) == 3
        assert {row.state for row in run.store.load().backups} == {BackupState.VERIFIED}


async def test_a_backup_goes_on_when_whoever_asked_for_it_leaves(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        asking = asyncio.create_task(run.keeper.create("a/b", mute))
        await asyncio.sleep(0.05)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await idle(run)
        assert run.keeper.backups.newest() is not None


async def test_the_oldest_files_are_removed_and_nothing_else_is(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        (run.target.directory / "notes").write_text("mine")
        (run.target.directory / "qekm-ffffffff-e1-1.qbk").write_text("another estate's")
        await run.store.commit(run.keeper.backups.plan(24, 2))
        made = [await run.keeper.create("a/b", mute) for _ in range(4)]
        names = {made[2].name, made[3].name, "notes", "qekm-ffffffff-e1-1.qbk"}
        assert set(run.files()) == names
        rows = run.store.load().backups
        assert [row.state for row in rows] == [BackupState.REMOVED] * 2 + [BackupState.VERIFIED] * 2
        assert [record.message for record in run.records("backup.remove")] == [row.name for row in made[:2]]
        with pytest.raises(UnknownBackup, match="was removed"):
            await run.keeper.verify(made[0].name, "a/b", mute)


# The proof's process.


def proving(run: Kept) -> int:
    """Return the pid of the process that proves, 0 if there is none."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    for child in children:
        if b"backup-prove" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return 0


async def test_a_proof_that_is_killed_fails_the_backup_and_leaves_nothing(tmp_path: Path) -> None:
    async with kept(tmp_path, keys=2_000) as run:
        task = asyncio.create_task(run.keeper.create("a/b", run.tell))
        while not any(step == "reading" for step, *_ in run.steps):
            await asyncio.sleep(0.01)
        pid = proving(run)
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        assert run.home.root_key.read_bytes().hex().encode() not in command
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(BackupFailed, match="killed by signal 9"):
            await task
        assert list(run.home.run.iterdir()) == []
        assert run.count(KeyState.GENERATED) == 2_000


async def test_a_keeper_that_is_closed_begins_nothing_and_that_is_no_failure(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        await run.keeper.close()
        for begun in (run.keeper.create("a/b", mute), run.keeper.verify("", "a/b", mute)):
            with pytest.raises(Draining):
                await begun
        await settle(run)
        assert (run.files(), run.store.load().backups, run.records("backup.create")) == ([], [], [])
        assert (run.keeper.failures, run.keeper.failure) == (0, "")


async def test_a_keeper_that_is_closed_ends_its_proof(tmp_path: Path) -> None:
    async with kept(tmp_path, keys=2_000) as run:
        task = asyncio.create_task(run.keeper.create("a/b", run.tell))
        while not any(step == "reading" for step, *_ in run.steps):
            await asyncio.sleep(0.01)
        begun = time.monotonic()
        await run.keeper.close()
        assert time.monotonic() - begun < 3 * 1
        assert proving(run) == 0
        assert list(run.home.run.iterdir()) == []
        await asyncio.gather(task, return_exceptions=True)
        assert run.store.load().backups[0].state is BackupState.CREATED
    async with kept(tmp_path) as run:
        (row,) = run.store.load().backups
        assert (row.state, row.message) == (
            BackupState.FAILED,
            "the service stopped while it was being proved",
        )


async def test_what_a_crash_left_in_the_scratch_directory_goes_at_the_next_start(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        (run.home.run / "backup-left").mkdir()
        (run.home.run / "backup-left" / "copy.db").write_bytes(b"x")
        (run.target.directory / f".qekm-{run.owners.estate_id.hex()[:8]}-new").write_bytes(b"half")
    async with kept(tmp_path) as run:
        assert list(run.home.run.iterdir()) == []
        made = await run.keeper.create("a/b", mute)
        assert run.files() == [made.name]


# Drills.


async def test_a_drill_opens_the_files_own_slot_with_what_a_person_has(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        made = await run.keeper.create("a/b", mute)
        run.clock.ahead_us += DAY
        drilled = await run.keeper.drill("", "custodian/carl", mute, proof(run.home.root_key.read_bytes()))
        assert drilled.name == made.name
        assert drilled.drill_time_us == pytest.approx(run.clock(), abs=60 * SECOND)
        assert run.store.load().backups == [drilled]
        (record,) = run.records("backup.drill")
        assert (record.outcome, record.actor) == (Outcome.SUCCESS, "custodian/carl")


async def test_a_drill_with_the_wrong_secret_says_so_and_harms_no_backup(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        made = await run.keeper.create("a/b", mute)
        with pytest.raises(BadPassword, match="does not open this store"):
            await run.keeper.drill("", "a/b", mute, proof(os.urandom(32)))
        assert run.store.load().backups == [made]
        assert run.records("backup.drill")[0].outcome is Outcome.FAILURE


# What happens by itself.


async def test_new_keys_are_backed_up_by_themselves_after_a_moments_rest(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        await run.routine.tick()
        assert not run.keeper.backups.page()
        await settle(run)
        assert run.count(KeyState.READY) == 8
        await run.generate(5)
        await settle(run)
        assert run.count(KeyState.READY) == 13
        assert len(run.keeper.backups.page()) == 2
        for _ in range(3):
            run.clock.ahead_us += 60 * SECOND
            await run.routine.tick()
            await asyncio.sleep(0)
            assert not run.keeper.busy


async def test_more_keys_than_a_commit_takes_become_ready_one_commit_after_the_other(tmp_path: Path) -> None:
    async with kept(tmp_path, keys=2_500) as run:
        await run.keeper.create("a/b", mute)
        assert run.count(KeyState.READY) == 2_500
        assert {key.state for key in run.store.load().keys} == {KeyState.READY}


async def test_the_schedule_makes_one_a_day(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        await settle(run)
        run.clock.ahead_us += 23 * HOUR
        await run.routine.tick()
        await asyncio.sleep(0)
        assert not run.keeper.busy
        run.clock.ahead_us += HOUR
        await run.routine.tick()
        await asyncio.sleep(0)
        await idle(run)
        assert len(run.keeper.backups.page()) == 2


async def test_a_failure_of_its_own_is_tried_again_after_a_while(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        run.target.directory.rmdir()
        await settle(run)
        assert run.keeper.failures == 1
        run.target.directory.mkdir()
        await settle(run)
        assert run.keeper.failures == 1
        run.clock.ahead_us += 5 * SECOND
        await settle(run)
        assert (run.keeper.failures, run.count(KeyState.READY)) == (0, 8)


async def test_a_store_that_may_be_an_old_copy_makes_no_backups(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        run.keystore.freeze("an old copy")
        await settle(run)
        assert not run.keeper.backups.page()
        with pytest.raises(ReadOnly):
            await run.keeper.create("a/b", mute)


async def test_where_nothing_is_protected_keys_that_still_waited_are_ready_at_once(tmp_path: Path) -> None:
    async with kept(tmp_path) as run:
        text = run.home.config.read_text("latin-1").replace("protect=backup", "protect=none")
        run.home.config.write_text(text, "latin-1")
    async with kept(tmp_path) as run:
        assert run.count(KeyState.READY) == 8
        await settle(run)
        assert run.keeper.backups.newest() is not None


# Witnesses.


async def test_the_headers_of_an_estates_backups_are_witnesses_and_no_others_are(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    # Another number of keys is another estate: those that are made alike are copies (tests/templates.py).
    async with kept(tmp_path / "a") as run, kept(tmp_path / "b", keys=9) as other:
        assert run.store.estate_id != other.store.estate_id
        first = await run.keeper.create("a/b", mute)
        second = await run.keeper.create("a/b", mute)
        foreign = await other.keeper.create("a/b", mute)
        here = run.target.directory
        stranger = other.target.directory / foreign.name
        # Another estate's under a name of ours, one whose header was altered, one that is cut off, junk.
        prefix = first.name.partition("-e")[0]
        (here / f"{prefix}-e9-1.qbk").write_bytes(stranger.read_bytes())
        whole = (here / first.name).read_bytes()
        (here / f"{prefix}-e9-2.qbk").write_bytes(whole.replace(b'"epoch":1', b'"epoch":7'))
        (here / f"{prefix}-e9-3.qbk").write_bytes(whole[:100])
        (here / f"{prefix}-e9-4.qbk").write_bytes(b"junk")
        (here / f"{prefix}-e9-5.qbk").mkdir()
        found = seen(here, run.store.ring)
        covers = [cover_at(here / row.name).header for row in (first, second)]
        assert found == [Witness(cover.epoch, cover.sequence, cover.root) for cover in covers]
        assert seen(None, run.store.ring) == []
        assert seen(tmp_path / "none", run.store.ring) == []


def test_every_error_of_the_tree_comes_back_from_the_other_process_as_it_was() -> None:
    from qekm.backup.child import _error, told_error

    for category in QekmError.__subclasses__():
        for leaf in category.__subclasses__():
            back = _error(told_error(leaf("what", hint="do", detail="x")))
            assert (type(back), back.message, back.advice, back.details) == (
                leaf,
                "what",
                "do",
                {"detail": "x"},
            )
    unknown = _error({"error": "NEW_ONE", "message": "m", "hint": "h", "details": {}})
    assert type(unknown) is BackupFailed
