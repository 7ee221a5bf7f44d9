"""What a proof finds: every flipped bit, every cut, and headers that say something else than the store."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from threading import Event, Thread

import pytest

from qekm.backup.codec import TRAILER, Reader, Writer
from qekm.backup.cover import Cover, cover_of
from qekm.backup.header import Header
from qekm.backup.keeping import mute
from qekm.backup.members import AUDIT_KEY, CONFIG, NAMES, STORE, head_of
from qekm.backup.opening import opener, root_of
from qekm.backup.proving import Proved, prove
from qekm.backup.reading import cover_at, extract, key_of
from qekm.backup.writing import Sealing, write
from qekm.clock import now_us
from qekm.errors import BackupDamaged, BackupFailed, BadPassword, UnknownBackup, UnknownSlot
from qekm.estate import Estate
from qekm.home import Home
from qekm.init import Wanted, make
from qekm.sealing import KeyFileSealer, KeyRing, KeySealer, PasswordSealer, SharesSealer, split
from qekm.secret import Secret
from qekm.store import Store
from qekm.unlocking import unlock
from tests.qekm.backup.test_codec import Careless

KEYS = 3


@dataclass
class Made:
    """A small key manager's backup, and what was put into it."""

    path: Path
    sealing: Sealing
    members: dict[str, bytes]
    home: Home

    @property
    def ring(self) -> KeyRing:
        """The ring of the key manager."""
        return self.sealing.ring

    def prove(self, path: Path, scratch: Path, reader: type[Reader] = Reader) -> Proved:
        """Prove a file in a new directory."""
        directory = scratch / os.urandom(6).hex()
        directory.mkdir(parents=True)
        try:
            return prove(path, lambda _: self.ring, directory, mute, reader)
        finally:
            shutil.rmtree(directory)

    def rewrite(self, path: Path, header: Header, **members: bytes) -> Path:
        """Write a backup that its maker would never write; it is authentic all the same."""
        key = Secret(os.urandom(32))
        cover = cover_of(header, cover_at(self.path).slots, lambda about: self.ring.wrap_backup(key, about))
        writer = Writer(cover, key, self.sealing.audit_key.sign)
        contents = [members.get(name, self.members[name]) for name in NAMES]
        parts = [writer.feed(head_of(name, len(c)) + c) for name, c in zip(NAMES, contents, strict=True)]
        path.write_bytes(b"".join(parts) + writer.close())
        return path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    yield made_in(tmp_path_factory.mktemp("proving"), KEYS)


def made_in(base: Path, keys: int) -> Made:
    """Make a key manager and a backup of it in a directory."""
    home = Home(base / "home")
    make(home, Wanted(keys=keys, properties={"keystore.protect": "none"}), now_us)
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)))
    try:
        found = store.load()
        estate = Estate.load(found.vaults, found.settings, store.ring)
        store.copy_to(base / "copy.db")
        ring = store.ring
    finally:
        store.close()
    sealing = Sealing(ring, estate.audit_key, now_us)
    others = {CONFIG: home.config.read_bytes(), AUDIT_KEY: estate.audit_public_pem}
    written = write(base / "copy.db", others, base, sealing, mute)
    return Made(written.path, sealing, {STORE: (base / "copy.db").read_bytes(), **others}, home)


def test_a_whole_backup_is_proved_and_counted(made: Made, tmp_path: Path) -> None:
    proved = made.prove(made.path, tmp_path)
    assert (proved.keys, proved.created_seq, proved.epoch, proved.records) == (KEYS, KEYS, 1, 4)
    assert proved.size == made.path.stat().st_size
    assert Proved.of(proved.dump()) == proved


@dataclass
class Flips:
    """What became of altered copies of a backup."""

    refused: int = 0
    harmless: int = 0
    harmful: int = 0


def flip(made: Made, places: list[int], scratch: Path, reader: type[Reader] = Reader) -> Flips:
    """Prove copies of a backup in each of which one bit is another."""
    whole, flips = made.path.read_bytes(), Flips()
    altered = scratch / "altered.qbk"
    for place in places:
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        altered.write_bytes(content)
        directory = scratch / "members"
        directory.mkdir()
        try:
            prove(altered, lambda _: made.ring, directory, mute, reader)
            same = all((directory / name).read_bytes() == made.members[name] for name in NAMES[1:])
            flips.harmless, flips.harmful = flips.harmless + same, flips.harmful + (not same)
        except BackupDamaged:
            flips.refused += 1
        finally:
            shutil.rmtree(directory)
    return flips


@pytest.mark.slow
def test_no_flipped_bit_changes_what_a_backup_holds(made: Made, tmp_path: Path) -> None:
    cover = len(cover_at(made.path).serialize())
    everywhere = range(8 * cover, 8 * made.path.stat().st_size)
    first, rest = list(range(8 * cover)), random.Random(20261126).sample(everywhere, 2_000)
    for what, places in (("cover", first), ("elsewhere", rest)):
        flips = flip(made, places, tmp_path)
        print(f"{what}: {len(places):,} flipped bits, {flips.refused:,} refused, {flips.harmless:,} harmless")
        assert (flips.harmful, flips.refused + flips.harmless) == (0, len(places))


def test_a_proof_that_skips_the_tag_would_be_caught(made: Made, tmp_path: Path) -> None:
    """Flips in the configuration, which nothing else authenticates."""
    end = made.path.stat().st_size - TRAILER - 16 - len(head_of(AUDIT_KEY, 0)) - len(made.members[AUDIT_KEY])
    places = [8 * (end - back) for back in range(1, 40)]
    assert flip(made, places, tmp_path).refused == len(places)
    careless = flip(made, places, tmp_path, Careless)
    print(f"of {len(places)} flips a careless proof lets {careless.harmful} pass")
    assert careless.harmful == len(places)


@pytest.mark.slow
def test_a_backup_that_is_cut_off_anywhere_is_refused(made: Made, tmp_path: Path) -> None:
    whole = made.path.read_bytes()
    cover, chunk = len(cover_at(made.path).serialize()), 65_552
    near = {cover, len(whole) - TRAILER, *range(cover, len(whole), chunk)}
    lengths = {length for place in near for length in range(place - 40, place + 40)} | set(range(cover))
    lengths |= set(range(0, len(whole), 997)) | set(range(len(whole) - 300, len(whole)))
    cut, refused = tmp_path / "cut.qbk", 0
    for length in sorted(lengths & set(range(len(whole)))):
        cut.write_bytes(whole[:length])
        with pytest.raises(BackupDamaged):
            made.prove(cut, tmp_path)
        refused += 1
    print(f"{refused:,} cuts refused")
    assert refused > 1_000


def test_a_file_that_grew_is_refused(made: Made, tmp_path: Path) -> None:
    longer = tmp_path / "longer.qbk"
    for more in (b"\0", os.urandom(96), made.path.read_bytes()):
        longer.write_bytes(made.path.read_bytes() + more)
        with pytest.raises(BackupDamaged):
            made.prove(longer, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 2},
        {"sequence": 99},
        {"root": bytes(32)},
        {"created_seq": 99},
        {"key_count": 2},
        {"audit_sequence": 3},
        {"audit_head": bytes(32)},
        {"estate": bytes(16)},
    ],
)
def test_a_header_that_says_something_else_than_its_store_is_refused(
    made: Made, tmp_path: Path, change: dict[str, object]
) -> None:
    header = replace(cover_at(made.path).header, **change)  # type: ignore[arg-type]
    with pytest.raises(BackupDamaged):
        made.prove(made.rewrite(tmp_path / "x.qbk", header), tmp_path)


def test_another_audit_key_another_store_and_a_store_that_is_none_are_refused(
    made: Made, tmp_path: Path
) -> None:
    header = cover_at(made.path).header
    for members in ({AUDIT_KEY: b"no key"}, {STORE: b"no store"}, {STORE: b""}):
        with pytest.raises(BackupDamaged):
            made.prove(made.rewrite(tmp_path / "x.qbk", header, **members), tmp_path)
    assert made.prove(made.rewrite(tmp_path / "x.qbk", header), tmp_path).keys == KEYS


def test_a_damaged_row_in_the_store_of_a_backup_is_found(made: Made, tmp_path: Path) -> None:
    import sqlite3

    copy = tmp_path / "copy.db"
    for statement in (
        "UPDATE keys SET sealed = zeroblob(76) WHERE created_seq = 2",
        "DELETE FROM keys WHERE created_seq = 2",
        "UPDATE settings SET value = '0' WHERE name = 'keystore.tag'",
        "UPDATE audit SET message = 'x' WHERE sequence = 2",
        "UPDATE audit SET signature = zeroblob(64) WHERE sequence = 4",
    ):
        copy.write_bytes(made.members[STORE])
        database = sqlite3.connect(copy)
        database.execute(statement)
        database.commit()
        database.close()
        header = cover_at(made.path).header
        with pytest.raises(BackupDamaged):
            made.prove(made.rewrite(tmp_path / "x.qbk", header, **{STORE: copy.read_bytes()}), tmp_path)


def test_a_file_that_is_not_there_and_a_disk_that_is_full_are_told_from_damage(
    made: Made, tmp_path: Path
) -> None:
    with pytest.raises(UnknownBackup):
        made.prove(tmp_path / "none.qbk", tmp_path)
    with pytest.raises(BackupFailed):
        extract(made.path, lambda cover: key_of(made.ring, cover), tmp_path / "none", mute)


def test_a_backup_under_a_record_key_that_is_forgotten_is_not_called_damaged(
    made: Made, tmp_path: Path
) -> None:
    with pytest.raises(BackupFailed, match="version 1 of the record key") as caught:
        prove(made.path, lambda cover: rotated(made.home, cover), tmp_path, mute)
    assert "qekm backup drill" in caught.value.advice


def rotated(home: Home, cover: Cover) -> KeyRing:
    """Return the ring of a home whose first record key is forgotten."""
    root = root_of(cover, KeyFileSealer(home.root_key))
    return KeyRing(root, cover.header.estate, versions=(2,))


def test_a_backup_is_proved_without_a_record_key_that_no_key_of_it_is_under(tmp_path: Path) -> None:
    """Its header names the versions that the store had, which a rotation keeps until they are not needed."""
    empty = made_in(tmp_path, 0)
    (tmp_path / "members").mkdir()
    proved = prove(empty.path, lambda cover: rotated(empty.home, cover), tmp_path / "members", mute)
    assert proved.keys == 0


def test_every_member_is_on_the_disk_when_it_is_extracted(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restore moves them to where they stay, and its journal says that they are whole."""
    synced: dict[str, int] = {}
    fsync = os.fsync

    def watched(handle: int) -> None:
        fsync(handle)
        synced[Path(f"/proc/self/fd/{handle}").readlink().name] = os.fstat(handle).st_size

    monkeypatch.setattr(os, "fsync", watched)
    extract(made.path, lambda cover: key_of(made.ring, cover), tmp_path, mute)
    assert synced == {name: len(made.members[name]) for name in NAMES}


def test_an_attempt_that_hung_never_gives_a_later_ones_half_file_its_name(made: Made, tmp_path: Path) -> None:
    """The first goes on when the second is in the middle of its file."""
    hangs, goes_on, told = Event(), Event(), list[str]()
    copy, others = tmp_path / "copy.db", {name: made.members[name] for name in NAMES[1:]}
    copy.write_bytes(made.members[STORE])
    (directory := tmp_path / "backups").mkdir()

    def hang(*_told: object) -> None:
        hangs.set()
        assert goes_on.wait(60)

    def attempt() -> None:
        try:
            write(copy, others, directory, made.sealing, hang)
        except BackupFailed as error:
            told.append(error.message)

    first = Thread(target=attempt)
    first.start()
    assert hangs.wait(60)

    def let_it_go_on(*_told: object) -> None:
        goes_on.set()
        first.join()

    written = write(copy, others, directory, made.sealing, let_it_go_on)
    assert len(told) == 1 and "cannot be written" in told[0]
    assert [each.name for each in directory.iterdir()] == [written.path.name]
    assert sha256(written.path.read_bytes()).digest() == written.sha256


def test_what_is_no_file_keeps_nobody_waiting(made: Made, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.qbk")
    for path in (tmp_path / "x.qbk", Path(os.devnull), tmp_path):
        with pytest.raises(BackupDamaged, match="is no file"):
            made.prove(path, tmp_path)


# What opens it.


def opened_by(sealer: object) -> Callable[[Cover], KeyRing]:
    """Return what opens a backup with a sealer."""
    return opener(sealer)  # type: ignore[arg-type]


def test_a_slot_of_the_file_opens_it_and_another_key_file_does_not(made: Made, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    proved = prove(made.path, opened_by(KeyFileSealer(made.home.root_key)), tmp_path / "a", mute)
    assert proved.keys == KEYS
    with pytest.raises(BadPassword):
        prove(made.path, opened_by(KeySealer(Secret(os.urandom(32)))), tmp_path / "b", mute)


def test_what_has_no_slot_in_the_file_is_told(made: Made, tmp_path: Path) -> None:
    for sealer in (PasswordSealer(Secret(b"correct horse battery")), SharesSealer(split()[:3])):
        with pytest.raises(UnknownSlot, match="there is key-file"):
            prove(made.path, opened_by(sealer), tmp_path, mute)
        for name in NAMES:
            (tmp_path / name).unlink(missing_ok=True)
