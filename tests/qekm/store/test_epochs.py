"""What a copy says of itself, a higher epoch, witnesses that need the ring, a lock that outlives the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from qekm.errors import StoreDamaged, StoreInUse
from qekm.model import Setting
from qekm.sealing import KeyRing
from qekm.store import Store, Witness, picture_of
from tests.qekm.store.material import SIGNER, create, unlock


async def test_a_picture_tells_of_a_copy_what_the_store_was(store: Store, tmp_path: Path) -> None:
    await store.commit([Setting("one", "1")])
    store.copy_to(tmp_path / "copy.db")
    picture = picture_of(tmp_path / "copy.db")
    assert Witness(picture.epoch, picture.sequence, picture.root) == store.witness
    assert (picture.key_count, picture.created_seq) == (0, 0)
    assert picture.head == store.audit_head()
    assert picture.locked == store.locked()
    await store.commit([Setting("two", "2")])
    assert picture_of(tmp_path / "copy.db") == picture


def test_what_is_no_store_has_no_picture(tmp_path: Path) -> None:
    for content in (b"", b"no database at all, whatever one may think"):
        (tmp_path / "x.db").write_bytes(content)
        with pytest.raises(StoreDamaged):
            picture_of(tmp_path / "x.db")


async def test_a_higher_epoch_begins_with_the_next_commit_and_with_nothing_before_it(path: Path) -> None:
    store = Store.open(path, unlock)
    before = store.witness
    store.begin_epoch(before.epoch + 2)
    store.close()
    store = Store.open(path, unlock)
    assert store.witness == before
    store.begin_epoch(before.epoch + 2)
    store.start(SIGNER.sign, lambda _error: None)
    await store.commit([Setting("one", "1")])
    store.close()
    store = Store.open(path, unlock)
    assert (store.witness.epoch, store.witness.sequence) == (before.epoch + 2, before.sequence + 1)
    with pytest.raises(AssertionError):
        store.begin_epoch(1)
    store.close()


async def test_a_new_epoch_is_behind_nothing_that_was_seen_before(path: Path, tmp_path: Path) -> None:
    anchor = tmp_path / "anchor"
    store = Store.open(path, unlock, anchor=anchor)
    store.start(SIGNER.sign, lambda _error: None)
    await store.commit([Setting("one", "1")])
    store.close()
    anchor.unlink()
    late = Witness(1, 99)
    store = Store.open(path, unlock, anchor=anchor, witnesses=lambda _: [late])
    assert store.behind
    store.begin_epoch(2)
    assert store.behind == ""
    store.start(SIGNER.sign, lambda _error: None)
    await store.commit([Setting("two", "2")])
    store.close()
    store = Store.open(path, unlock, anchor=anchor, witnesses=lambda _: [late])
    assert store.behind == ""
    store.close()


def test_witnesses_are_asked_once_the_store_is_unlocked(path: Path) -> None:
    asked: list[KeyRing] = []

    def witnesses(ring: KeyRing) -> list[Witness]:
        asked.append(ring)
        return [Witness(1, 50)]

    store = Store.open(path, unlock, witnesses=witnesses)
    assert asked == [store.ring]
    assert "a backup has seen commit 50" in store.behind
    store.close()
    own = replace(store.witness, root=b"")
    store = Store.open(path, unlock, witnesses=lambda _: [own])
    assert store.behind == ""
    store.close()


async def test_a_lock_that_is_released_by_nobody_keeps_others_out(tmp_path: Path) -> None:
    path = create(tmp_path)
    store = Store.open(path, unlock)
    store.start(SIGNER.sign, lambda _error: None)
    await store.commit([Setting("one", "1")])
    lock = store.release()
    assert not path.with_name(path.name + "-wal").exists()
    with pytest.raises(StoreInUse):
        Store.open(path, unlock)
    lock.close()
    store = Store.open(path, unlock)
    assert store.load().settings["one"] == "1"
    store.close()
