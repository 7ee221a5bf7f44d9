"""Rotation of the record key over a real store: every key stays readable, whatever happens when."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from qekm.errors import ReadOnly, StoreDamaged, TooMany
from qekm.keystore import Keystore
from qekm.model import Backup, BackupState, Group, KeyState, OnExhaustion, Setting, Slot
from qekm.rotating import BATCH, RESEALED, Progress, Rotating
from qekm.sealing import KeyRing, KeySealer
from qekm.sealing.keyring import version_of
from qekm.secret import Secret
from qekm.store import CURRENT, MOST_VERSIONS, OLDEST, Store
from qekm.unlocking import unlock

KEYS = 200
NOW_US = 1_000_000


def now_us() -> int:
    """Return a time that stands still."""
    return NOW_US


@dataclass
class Site:
    """An open store with its keys and what rotates them."""

    path: Path
    content: bytes  # of the key file
    root: bytes
    store: Store
    keystore: Keystore
    settings: dict[str, str]
    rotating: Rotating
    backups: list[Backup]
    time_s: float = 0.0
    busy: bool = False

    async def rotate(self) -> None:
        """Begin a rotation and have it on the disk."""
        await self.store.commit(self.rotating.begin(Secret(self.root)))

    async def finish(self) -> None:
        """Tick until every key is sealed anew and noted to be so."""
        while self.rotating.running:
            await self.rotating.tick()
        await self.rotating.tick()

    async def events(self) -> list[str]:
        """Return the events of the trail."""
        return [link.record.event for link in self.store.iterate_audit()]


def make(path: Path, keys: int = KEYS) -> tuple[bytes, bytes]:
    """Make a store of some keys in all states that have material; return key file and root key."""
    content, root, estate = os.urandom(32), os.urandom(32), os.urandom(16)
    ring = KeyRing(Secret(root), estate)
    keystore = Keystore((), ring, now_us, os.urandom, "0123456789")
    made = keystore.generate(keys, "default")
    for key in made[: keys // 4]:
        keystore.mark(keystore.assign(key, 5, ("001300000392", b"", "")), KeyState.ACTIVE)
    slot = Slot("key-file", KeySealer(Secret(content)).seal(Secret(root)), "key-file", NOW_US)
    group = Group("default", OnExhaustion.REFILL, is_default=True, create_time_us=NOW_US)
    Store.create(path, estate, ring.seals, [slot, group, *keystore])
    return content, root


@asynccontextmanager
async def opened(
    path: Path, content: bytes, root: bytes, kind: type[Rotating] = Rotating, **more: Any
) -> AsyncIterator[Site]:
    """Open a store as a start of the service does."""
    store = Store.open(path, unlock(KeySealer(Secret(content))))
    failed: list[BaseException] = []
    store.start(None, failed.append)
    try:
        found = store.load()
        keystore = Keystore(found.keys, store.ring, now_us, os.urandom, "0123456789", **more)
        site: Site
        backups = list(found.backups)
        rotating = kind(
            store,
            keystore,
            found.settings,
            lambda: backups,
            lambda: site.busy,
            now_us,
            lambda: site.time_s,
        )
        site = Site(path, content, root, store, keystore, found.settings, rotating, backups)
        yield site
    finally:
        store.close()
    assert not failed


def materials(path: Path, content: bytes) -> dict[str, bytes]:
    """Return every key's material as a start finds it on the disk."""
    store = Store.open(path, unlock(KeySealer(Secret(content))))
    try:
        return {key.alias: store.ring.open_key(key).reveal() for key in store.load().keys if key.sealed}
    finally:
        store.close()


def backup(site: Site, state: BackupState = BackupState.VERIFIED) -> Backup:
    """Return a backup of the store as it is now."""
    here = site.store.witness
    name = f"b{here.sequence}"
    return Backup(name, 1, here.epoch, here.sequence, 1, 1, 1, bytes(32), "/b", True, state)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store" / "qekm.db"


async def test_every_key_is_sealed_anew_in_small_commits_and_the_old_version_is_forgotten(path: Path) -> None:
    content, root = make(path)
    before = materials(path, content)
    async with opened(path, content, root) as site:
        first = site.store.witness.sequence
        await site.rotate()
        assert site.rotating.progress == Progress(2, 0, KEYS)
        await site.finish()
        assert site.rotating.progress == Progress(2, KEYS, KEYS)
        assert site.store.record_versions() == {2}
        commits = site.store.witness.sequence - first
        assert commits == 1 + -(-KEYS // BATCH) + 1
        await site.rotating.tick()
        assert (site.settings[OLDEST], site.settings[CURRENT]) == ("2", "2")
        assert await site.events() == ["keystore.reseal", "keystore.forget"]
        quiet = site.store.witness.sequence
        await site.rotating.tick()
        assert site.store.witness.sequence == quiet
    assert materials(path, content) == before


async def test_keys_keep_their_state_their_turn_and_their_counts(path: Path) -> None:
    content, root = make(path)
    async with opened(path, content, root) as site:
        keystore = site.keystore

        def turns() -> tuple[Any, ...]:
            used = keystore.next_used("default", lambda _: False)
            ready = keystore.next_ready("default")
            assert used is not None
            assert ready is not None
            return used.alias, ready.alias, keystore.counts(), len(keystore)

        # The ACTIVE keys come in an order that is not that of their creation.
        again = keystore.by_alias(keystore.next_used("default", lambda _: False).alias)  # type: ignore[union-attr]
        await site.store.commit([keystore.assign(again, 9, ("001310000363", b"m" * 16, "V"))])
        before = turns()
        await site.rotate()
        await site.finish()
        assert turns() == before
        assert keystore.by_mount(("001310000363", b"m" * 16, "V")).alias == again.alias  # type: ignore[union-attr]


async def test_what_is_made_and_used_meanwhile_is_sealed_anew_and_nothing_is_lost(
    path: Path,
) -> None:
    content, root = make(path)
    before = materials(path, content)
    async with opened(path, content, root) as site:
        await site.rotate()
        made = site.keystore.generate(5, "default")
        assert {version_of(key.sealed) for key in made} == {2}
        await site.store.commit(made)
        keys, _ = site.keystore.reseal(BATCH)
        keys, _ = site.keystore.reseal(BATCH)
        used = site.keystore.assign(site.keystore.next_ready("default"), 7, ("001300000392", b"", ""))  # type: ignore[arg-type]
        # The drive's change and the batch are under way together.
        await asyncio.gather(site.store.commit(keys), site.store.commit([used]))
        await site.finish()
        await site.rotating.tick()
        assert site.store.record_versions() == {2}
    after = materials(path, content)
    assert {alias: after[alias] for alias in before} == before
    assert len(after) == KEYS + 5


async def test_a_rotation_goes_on_after_a_stop_at_any_batch(path: Path) -> None:
    content, root = make(path)
    before = materials(path, content)
    async with opened(path, content, root) as site:
        await site.rotate()
    for done in range(0, KEYS, BATCH):
        assert materials(path, content) == before
        async with opened(path, content, root) as site:
            assert site.rotating.progress == Progress(2, done, KEYS)
            keys: list[Any] = []
            while not keys:
                keys, _ = site.keystore.reseal(BATCH)
            await site.store.commit(keys)
    async with opened(path, content, root) as site:
        assert not site.rotating.running
        await site.finish()
        await site.rotating.tick()
        assert site.settings[OLDEST] == "2"
    assert materials(path, content) == before


async def test_a_stop_between_the_last_batch_and_the_note_notes_it_later(path: Path) -> None:
    content, root = make(path, 10)
    async with opened(path, content, root, first_state=KeyState.GENERATED) as site:
        await site.rotate()
        while site.rotating.running:
            await site.rotating.tick()
        assert RESEALED not in site.settings
    async with opened(path, content, root, first_state=KeyState.GENERATED) as site:
        await site.rotating.tick()
        assert site.settings[RESEALED].split()[0] == "2"


async def test_an_old_version_waits_for_a_verified_backup_of_after_the_last_batch(
    path: Path,
) -> None:
    content, root = make(path, 10)
    async with opened(path, content, root, first_state=KeyState.GENERATED) as site:
        old = backup(site)
        site.backups.append(old)
        await site.rotate()
        await site.finish()
        await site.rotating.tick()
        assert OLDEST not in site.settings, "no backup after the rotation yet"
        site.backups.append(backup(site, BackupState.CREATED))
        await site.rotating.tick()
        assert OLDEST not in site.settings, "it is not verified yet"
        site.backups[1] = replace(site.backups[1], state=BackupState.VERIFIED)
        await site.rotating.tick()
        assert OLDEST not in site.settings, "the service could not prove the older backup any more"
        site.backups[0] = replace(old, state=BackupState.REMOVED)
        site.busy = True
        await site.rotating.tick()
        assert OLDEST not in site.settings, "a backup is under way"
        site.busy = False
        await site.rotating.tick()
        assert site.settings[OLDEST] == "2"


async def test_a_failed_backup_is_none(path: Path) -> None:
    content, root = make(path, 10)
    async with opened(path, content, root, first_state=KeyState.GENERATED) as site:
        await site.rotate()
        await site.finish()
        site.backups.append(backup(site, BackupState.FAILED))
        await site.rotating.tick()
        assert OLDEST not in site.settings


async def test_rotations_follow_each_other(path: Path) -> None:
    content, root = make(path, 70)
    before = materials(path, content)
    async with opened(path, content, root, first_state=KeyState.GENERATED) as site:
        for version in (2, 3, 4):
            await site.rotate()
            await site.finish()
            assert site.rotating.progress == Progress(version, 70, 70)
        site.backups.append(backup(site))
        await site.rotating.tick()
        assert site.settings[OLDEST] == "4"
    assert materials(path, content) == before


async def test_a_key_that_does_not_verify_is_told_once_and_keeps_its_version(path: Path) -> None:
    content, root = make(path, 70)
    async with opened(path, content, root) as site:
        key = site.keystore.next_ready("default")
        assert key is not None
        broken = replace(key, check_value=b"\0\0\0\0", version=key.version + 1)
        site.keystore.put(broken)
        await site.store.commit([broken])
        await site.rotate()
        for _ in range(5):
            await site.finish()
        assert site.rotating.progress == Progress(2, 69, 70)
        assert not site.rotating.running
        assert await site.events() == ["key.damaged"]
        assert OLDEST not in site.settings
        assert site.store.record_versions() == {1, 2}


async def test_a_destroyed_key_is_in_nobodys_way(path: Path) -> None:
    content, root = make(path, 10)
    async with opened(path, content, root) as site:
        await site.store.commit([site.keystore.erase(next(iter(site.keystore)), NOW_US)])
        await site.rotate()
        await site.finish()
        assert site.rotating.progress == Progress(2, 9, 9)
        await site.rotating.tick()
        assert site.settings[OLDEST] == "2"


async def test_a_store_without_keys_is_rotated_at_once(path: Path) -> None:
    content, root = make(path, 0)
    async with opened(path, content, root) as site:
        await site.rotate()
        assert not site.rotating.running
        await site.rotating.tick()
        await site.rotating.tick()
        assert site.settings[OLDEST] == "2"


async def test_no_rotation_of_an_old_copy_or_with_another_root_key_or_without_end(path: Path) -> None:
    content, root = make(path, 1)
    async with opened(path, content, root) as site:
        with pytest.raises(StoreDamaged, match="not the root key"):
            site.rotating.begin(Secret(os.urandom(32)))
        site.store.ring._records[MOST_VERSIONS] = bytes(32)
        with pytest.raises(TooMany):
            site.rotating.begin(Secret(root))
        site.store.ring._records.pop(MOST_VERSIONS)
        site.keystore.freeze("an old copy")
        with pytest.raises(ReadOnly, match="an old copy"):
            site.rotating.begin(Secret(root))
        assert site.keystore.record_version == 1


async def test_an_old_copy_that_was_being_rotated_is_left_alone(path: Path) -> None:
    content, root = make(path, 10)
    async with opened(path, content, root) as site:
        await site.rotate()
        site.keystore.freeze("an old copy")
        await site.rotating.tick()
        assert site.rotating.progress == Progress(2, 0, 10)


async def test_the_disk_has_the_last_word_on_what_is_forgotten(path: Path) -> None:
    content, root = make(path, 10)
    async with opened(path, content, root) as site:
        await site.rotate()
        keys: list[Any] = []
        while not keys:
            keys, _ = site.keystore.reseal(BATCH)  # in memory, and never committed
        await site.finish()
        await site.rotating.tick()
        await site.rotating.tick()
        assert OLDEST not in site.settings
    async with opened(path, content, root) as site:
        assert site.rotating.progress == Progress(2, 0, 10)
        await site.finish()


class Hasty(Rotating):
    """The negative control: forgets the old version as soon as a rotation has begun."""

    async def tick(self) -> None:
        """Forget at once."""
        version = self._keystore.record_version
        await self._store.commit([Setting(OLDEST, str(version))])
        self._store.ring.forget(version)


async def test_a_build_that_forgets_too_early_is_caught(path: Path) -> None:
    content, root = make(path, 10)
    async with opened(path, content, root, Hasty) as site:
        await site.rotate()
        await site.rotating.tick()
    with pytest.raises(StoreDamaged, match="does not verify"):
        materials(path, content)
