"""Keys whose time has come: gone from memory, disk and log, remembered outside, whatever is cut off."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from qekm.destroying import BATCH
from qekm.errors import UnknownKey
from qekm.estate import UNERASED
from qekm.home import Home
from qekm.model import Key, KeyState
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.store import Store
from qekm.tombstones import NAME, bury, read_tombstones
from qekm.v1 import keystore_pb2 as pb
from tests.qekm.api.running import Running, running
from tests.qekm.store.test_erasing import remains

DAY_US = 86_400 * 1_000_000
WEEK_US = 7 * DAY_US
PATIENCE_S = 60.0  # of a busy machine


async def condemned(run: Running, count: int) -> list[Key]:
    """Have the first keys destroyed in a week, and return them as they were."""
    keys = run.service.owners.keystore.page(limit=count)
    await run.client.keystore.DestroyKeys(pb.DestroyKeysRequest(aliases=[key.alias for key in keys]))
    return keys


async def tick(run: Running) -> None:
    """Have the service do what is due, and wait for what it writes beside that."""
    await run.service.upkeep.tick()
    while run.service.duties.destroyer._burial is not None:
        await run.service.duties.destroyer.close()


async def erased(run: Running) -> None:
    """Have the service do what is due until no copy is left: it cannot while a backup reads the store."""
    deadline = time.monotonic() + PATIENCE_S
    await tick(run)
    while run.store.load().settings[UNERASED]:
        assert time.monotonic() < deadline, f"copies of destroyed keys are left after {PATIENCE_S} s"
        await asyncio.sleep(0.05)
        await tick(run)


def stones(run: Running, directory: Path | None = None) -> set[bytes]:
    """Return which keys the tombstones of a directory name."""
    path = (directory or run.home.path) / NAME
    return read_tombstones(path, run.store.ring.seals, run.store.estate_id, pytest.fail)


def stored(run: Running) -> dict[str, Key]:
    """Return the keys as they are on the disk."""
    return {key.alias: key for key in run.store.load().keys}


async def test_a_key_is_destroyed_when_its_time_comes_and_stays_so(tmp_path: Path) -> None:
    target = tmp_path / "backups"
    target.mkdir()
    options: dict[str, Any] = {"twoPerson": "off", "backup__target": str(target)}
    async with running(tmp_path / "home", keys=200, **options) as run:
        keys = await condemned(run, 150)
        run.clock.ahead_us += WEEK_US - 60_000_000
        await tick(run)
        assert {stored(run)[key.alias].state for key in keys} == {KeyState.DESTROY_PENDING}
        run.clock.ahead_us += 60_000_000
        await erased(run)
        gone = [stored(run)[key.alias] for key in keys]
        assert {(key.state, key.sealed, key.check_value) for key in gone} == {(KeyState.DESTROYED, b"", b"")}
        assert stones(run) == stones(run, target) == {key.key_id for key in keys}
        assert remains(run.home.store_directory, [key.sealed for key in keys]) == 0
        records = [record for record in await run.records() if record.event == "key.destroy"]
        assert [record.alias for record in records] == [key.alias for key in keys]
        assert {record.actor for record in records} == {"server"}
        told = (await run.client.keystore.GetKey(pb.GetKeyRequest(alias=keys[0].alias))).key
        assert told.state == pb.KEY_STATE_DESTROYED and told.HasField("destroy_time") and not told.check_value
    async with running(tmp_path / "home") as run:
        keystore = run.service.owners.keystore
        with pytest.raises(UnknownKey, match="was destroyed"):
            keystore.open(keystore.by_alias(keys[0].alias))
        assert keystore.counts()[KeyState.DESTROYED] == 150
        assert len(stones(run)) == 150
    assert remains(run.home.store_directory, [key.sealed for key in keys]) == 0


async def test_a_destruction_that_was_called_off_does_not_happen(tmp_path: Path) -> None:
    async with running(tmp_path / "home", twoPerson="off") as run:
        first, second = await condemned(run, 2)
        await run.client.keystore.KeepKeys(pb.KeepKeysRequest(aliases=[first.alias]))
        run.clock.ahead_us += WEEK_US
        await tick(run)
        assert stored(run)[first.alias].state is KeyState.QUARANTINED
        assert run.service.owners.keystore.open(stored(run)[first.alias])
        assert stones(run) == {second.key_id}


async def test_drives_are_served_between_the_batches(tmp_path: Path) -> None:
    total = 16 * BATCH  # a slow machine's call takes longer than a few
    async with running(tmp_path / "home", keys=total, twoPerson="off") as run:
        await condemned(run, total)
        run.clock.ahead_us += WEEK_US
        ticking, told = asyncio.ensure_future(tick(run)), list[int]()
        while not ticking.done():
            keystore = await run.client.keystore.GetKeystore(pb.GetKeystoreRequest())
            told.append(sum(each.count for each in keystore.counts if each.state == pb.KEY_STATE_DESTROYED))
        await ticking
        assert run.service.owners.keystore.counts()[KeyState.DESTROYED] == total
        between = [destroyed for destroyed in told if 0 < destroyed < total]
        print(f"{len(between)} of {len(told)} calls were answered between the batches")
        assert len(set(between)) > 2, told


async def test_nothing_is_destroyed_in_a_store_that_may_be_an_old_copy(tmp_path: Path) -> None:
    async with running(tmp_path / "home", twoPerson="off") as run:
        (key,) = await condemned(run, 1)
        run.service.owners.keystore.freeze("an old copy")
        run.clock.ahead_us += WEEK_US
        await tick(run)
        assert stored(run)[key.alias].state is KeyState.DESTROY_PENDING


async def test_the_tombstone_of_a_key_outlives_the_store_that_was_put_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with running(home, twoPerson="off"):
        pass
    shutil.copytree(home / "store", tmp_path / "copy")
    shutil.copy(home / "anchor", tmp_path / "anchor")
    async with running(home) as run:
        (key,) = await condemned(run, 1)
        run.clock.ahead_us += WEEK_US
        await tick(run)
    shutil.rmtree(home / "store")
    shutil.copytree(tmp_path / "copy", home / "store")
    shutil.copy(tmp_path / "anchor", home / "anchor")
    async with running(home) as run:
        assert stored(run)[key.alias].state is KeyState.DESTROYED
        await erased(run)
        (record,) = [record for record in await run.records() if record.event == "key.destroy"]
        assert record.message == "its tombstone was found: this store is an older copy"
        assert remains(run.home.store_directory, [key.sealed]) == 0


async def test_what_a_crash_cut_off_after_the_commit_is_done_at_the_next_start(tmp_path: Path) -> None:
    async with running(tmp_path / "home", twoPerson="off") as run:
        (key,) = await condemned(run, 1)
        run.clock.ahead_us += WEEK_US
        destroyer = run.service.duties.destroyer
        await run.service._rest()  # nothing is done by itself from here on
        keys = run.service.owners.keystore.destroy_due(run.clock(), 9)
        await destroyer._commit(keys, "")  # and no further
    home = Home(tmp_path / "home")
    with Store.looked_at(home.store) as store:
        assert store.load().settings[UNERASED] == "yes"
    assert not (home.path / NAME).exists()
    async with running(home.path) as run:
        await erased(run)
        assert stones(run) == {key.key_id}
        assert remains(run.home.store_directory, [key.sealed]) == 0


async def test_tombstones_that_cannot_be_written_are_written_later(tmp_path: Path) -> None:
    target = tmp_path / "backups"  # not there: not mounted
    options: dict[str, Any] = {"twoPerson": "off", "backup__target": str(target)}
    async with running(tmp_path / "home", **options) as run:
        (key,) = await condemned(run, 1)
        run.clock.ahead_us += WEEK_US
        await tick(run)
        assert stones(run) == {key.key_id}
        target.mkdir()
        await tick(run)
        assert stones(run, target) == set(), "a minute has not passed"
        run.service.duties.destroyer._bury_s = 0.0
        await tick(run)
        assert stones(run, target) == {key.key_id}
    (target / NAME).unlink()
    async with running(tmp_path / "home") as run:
        await tick(run)
        assert stones(run, target) == {key.key_id}, "each start looks whether they are all there"


class Cramped(Store):
    """A store that has no room to be written anew."""

    cramped = True

    async def rewrite(self) -> bool:
        """Say that there is none, as long as it is said."""
        return not self.cramped and await super().rewrite()


async def test_without_room_the_store_is_written_anew_later(tmp_path: Path) -> None:
    async with running(tmp_path / "home", twoPerson="off", store_type=Cramped) as run:
        assert isinstance(run.store, Cramped)
        (key,) = await condemned(run, 1)
        run.clock.ahead_us += WEEK_US
        await tick(run)
        assert stored(run)[key.alias].state is KeyState.DESTROYED
        assert run.store.load().settings[UNERASED] == "yes"
        run.store.cramped, run.service.duties.destroyer._erase_s = False, 0.0
        await erased(run)


async def test_while_somebody_reads_the_store_it_is_tried_again_over_a_restart_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = Home(tmp_path / "home")
    async with running(home.path, twoPerson="off") as run:
        (key,) = await condemned(run, 1)
        reader = sqlite3.connect(home.store, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM keys").fetchall()
        run.clock.ahead_us += WEEK_US
        for _ in range(2):
            await tick(run)
            assert stored(run)[key.alias].state is KeyState.DESTROYED
            assert run.store.load().settings[UNERASED] == "yes"
        assert "somebody reads the store" not in caplog.text, "a minute has not passed"
        run.service.duties.destroyer._warn_s = 0.0
        await tick(run)
        assert "somebody reads the store" in caplog.text
    assert remains(home.store_directory, [key.sealed]) == 1
    reader.close()
    async with running(home.path) as run:
        await erased(run)
        assert remains(home.store_directory, [key.sealed]) == 0


async def test_what_a_migration_left_goes_with_the_keys_and_stores_put_aside_are_named(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "home", twoPerson="off") as run:
        directory = run.home.store_directory
        for name in ("qekm.db.0001", "qekm.db.new"):
            shutil.copyfile(run.home.store, directory / name)
        (aside := run.home.path / "store.before-restore-20261126T000000Z").mkdir()
        alias = run.service.owners.keystore.page()[0].alias
        told = await run.client.keystore.DestroyKeys(pb.DestroyKeysRequest(aliases=[alias]))
        assert list(told.backups) == [aside.name]
        assert (directory / "qekm.db.0001").exists()
        run.clock.ahead_us += WEEK_US
        await tick(run)
        assert {path.name for path in directory.iterdir()} <= {
            "lock",
            "qekm.db",
            "qekm.db-wal",
            "qekm.db-shm",
        }
        assert aside.exists()


async def test_a_tombstone_that_somebody_made_up_destroys_nothing(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=2) as run:
        key = run.service.owners.keystore.page()[0]
    forger = KeyRing(Secret(os.urandom(32)), run.store.estate_id).seals
    dead = replace(key, state=KeyState.DESTROYED, destroy_time_us=5)
    bury(tmp_path / "home" / NAME, [dead], forger, run.store.estate_id)
    async with running(tmp_path / "home") as run:
        assert run.service.owners.keystore.by_alias(key.alias).state is KeyState.READY


async def test_tombstones_that_cannot_be_read_stop_no_service(tmp_path: Path) -> None:
    async with running(tmp_path / "home", keys=2):
        pass
    (tmp_path / "home" / NAME).mkdir()
    async with running(tmp_path / "home") as run:
        assert run.service.owners.keystore.counts()[KeyState.READY] == 2
