"""What was erased from a row is nowhere in the files of the store: on no free page, no moved one, no log."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from qekm.errors import StoreFailed
from qekm.model import Key, KeyState
from qekm.store import Store
from tests.qekm.store.material import SIGNER, create, make_key, unlock

KEYS, SEED = 2_000, 6  # an order in which SQLite 3.40 moves rows so that whole sealed keys are left behind
WINDOW, STRIDE = 12, 8  # bytes: of a copy that was half overwritten any 20 in a row are found


def remains(directory: Path, erased: Iterable[bytes]) -> int:
    """Count what of the erased bytes is in any file of a directory, even in part."""
    content = b"\n".join(path.read_bytes() for path in sorted(directory.iterdir()))
    windows = {
        sealed[at : at + WINDOW]: number
        for number, sealed in enumerate(erased)
        for at in range(0, len(sealed) - WINDOW + 1, STRIDE)
    }
    found = {
        windows[window]
        for at in range(len(content) - WINDOW + 1)
        if (window := content[at : at + WINDOW]) in windows
    }
    return len(found)


def used(key: Key) -> Key:
    """Return a key that was given out: its row is longer, so that rows move from page to page."""
    return replace(
        key,
        state=KeyState.ACTIVE,
        version=2,
        assign_time_us=1_800_000_000_000_000,
        drive_serial="001300000392",
        volser="E01001L4",
        mount_id=bytes(16),
    )


def tombstone(key: Key) -> Key:
    """Return a key without its material."""
    return replace(key, state=KeyState.DESTROYED, version=3, sealed=b"", check_value=b"")


async def aged(directory: Path) -> tuple[Store, list[Key], list[Key]]:
    """Return an open store whose keys were used in any order, and which of them to destroy and to keep."""
    order = [replace(make_key(number), sealed=os.urandom(61)) for number in range(1, KEYS + 1)]
    store = Store.open(create(directory, *order), unlock)
    store.start(SIGNER.sign, lambda _error: None)
    chance = random.Random(SEED)
    chance.shuffle(order)
    for start in range(0, KEYS * 3 // 4, 50):
        await store.commit([used(key) for key in order[start : start + 50]])
    gone = order[::2]
    chance.shuffle(gone)
    return store, gone, order[1::2]


async def test_after_a_destruction_no_copy_of_the_sealed_key_is_left(tmp_path: Path) -> None:
    store, gone, kept = await aged(tmp_path)
    directory = tmp_path / "store"
    erased = [key.sealed for key in gone]
    assert remains(directory, erased) == len(erased)
    for start in range(0, len(gone), 64):
        await store.commit([tombstone(key) for key in gone[start : start + 64]])
    assert await store.empty_log()
    assert remains(directory, erased), "without the rewriting some are left: this is what it is for"
    assert await store.rewrite()
    assert await store.empty_log()
    assert remains(directory, erased) == 0
    assert remains(directory, [key.sealed for key in kept]) == len(kept)
    found = store.scrub(lambda _done: None)
    assert found.root_holds and not found.damaged
    store.close()
    assert remains(directory, erased) == 0
    with closing(sqlite3.connect(tmp_path / "store" / "qekm.db")) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_where_nothing_is_overwritten_copies_would_be_found(tmp_path: Path) -> None:
    """The control: the same destruction by a program that asks for no overwriting."""
    keys = [replace(make_key(number), sealed=os.urandom(61)) for number in range(1, 200)]
    path = create(tmp_path, *keys)
    copy = tmp_path / "careless" / "qekm.db"
    copy.parent.mkdir()
    shutil.copy(path, copy)
    with closing(sqlite3.connect(copy, isolation_level=None)) as plain:
        plain.execute("PRAGMA secure_delete=OFF")
        plain.execute("UPDATE keys SET sealed=x'', check_value=x''")
        plain.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert remains(copy.parent, [key.sealed for key in keys]) > 50


async def test_the_log_waits_for_who_reads_and_the_writer_does_not(tmp_path: Path) -> None:
    store = Store.open(create(tmp_path, make_key(1)), unlock)
    store.start(SIGNER.sign, lambda _error: None)
    with closing(sqlite3.connect(tmp_path / "store" / "qekm.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM keys").fetchall()
        await store.commit([used(make_key(1))])
        assert not await store.empty_log()
        await store.commit([tombstone(make_key(1))])
        reader.execute("COMMIT")
    assert await store.empty_log()
    assert (tmp_path / "store" / "qekm.db-wal").stat().st_size == 0
    store.close()


async def test_readers_that_never_stop_do_not_keep_the_log(tmp_path: Path) -> None:
    store = Store.open(create(tmp_path, *map(make_key, range(1, 101))), unlock)
    store.start(SIGNER.sign, lambda _error: None)
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            store.load()

    reading = [asyncio.create_task(asyncio.to_thread(read)) for _ in range(2)]
    emptied = 0
    for number in range(1, 21):
        await store.commit([used(make_key(number))])  # so that whoever reads now does not see all
        emptied += await store.empty_log()
    over.set()
    await asyncio.gather(*reading)
    store.close()
    assert emptied > 5  # without patience: one at most


async def test_a_store_that_has_failed_or_is_closed_does_neither(tmp_path: Path) -> None:
    store = Store.open(create(tmp_path), unlock)
    with pytest.raises(StoreFailed):
        await store.rewrite()
    failures: list[BaseException] = []
    store.start(SIGNER.sign, failures.append)
    (tmp_path / "store" / "qekm.db").unlink()  # so that the file's size cannot be told
    with pytest.raises(StoreFailed):
        await store.rewrite()
    with pytest.raises(StoreFailed):
        await store.empty_log()
    with pytest.raises(StoreFailed):
        await store.commit([make_key(1)])
    assert len(failures) == 1
