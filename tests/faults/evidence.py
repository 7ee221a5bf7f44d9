"""The judge of a home that something happened to: what was told, against what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from qekm.backup.records import Backups
from qekm.checking import check
from qekm.clock import now_us
from qekm.configuration.settings import Settings
from qekm.errors import QekmError
from qekm.home import Home
from qekm.model import Backup, BackupState, KeyState
from qekm.sealing import KeyFileSealer
from qekm.sealing.keyring import version_of
from qekm.store import Snapshot, Store
from qekm.tombstones import NAME as TOMBSTONES
from qekm.tombstones import read_tombstones
from qekm.unlocking import unlock
from tests.faults.told import BACKED, DOOMED, GIVEN, GONE, MADE, ROTATED, TAKEN, Note, named

_UNUSED = frozenset({KeyState.GENERATED, KeyState.READY})


def flaws(home: Home, notes: Sequence[Note], epoch: int = 1) -> list[str]:
    """Return what is wrong with a home that nobody serves; it is opened as its next start would open it.

    epoch: higher than 1, a backup or an old copy took the place of the store: it knows less of what was told,
    and so gives nothing of it out again.
    """
    sealer, settings = KeyFileSealer(home.root_key), Settings.load(home.config)
    try:
        store = Store.open(home.store, unlock(sealer), anchor=home.anchor)
    except QekmError as error:
        return [f"the store does not open: {error.message}"]
    try:
        behind = [f"it is taken for an old copy: {store.behind}"] if store.behind else []
        found = store.load()
        digests = {}
        for key in found.keys:
            if key.sealed:
                with store.ring.open_key(key) as secret:
                    digests[key.alias] = sha256(secret.reveal()).hexdigest()
    except QekmError as error:
        return [f"the store cannot be read: {error.message}"]
    finally:
        store.close()
    checked = check(home, settings, sealer, lambda _rows: None)
    return [
        *behind,
        *checked.flaws,
        *_given(notes, found, digests, epoch),
        *_made(notes, found, digests),
        *_gone(notes, found),
        *_unprotected(home, settings, found),
        *_graves(home, store, found),
        *_backups(home, settings, notes, found, epoch),
    ]


def _given(notes: Sequence[Note], found: Snapshot, digests: dict[str, str], epoch: int) -> Iterator[str]:
    """Yield what is wrong with the keys that drives have."""
    keys, doomed = {key.alias: key for key in found.keys}, named(notes, DOOMED)
    given = {(note.words[0], note.words[1], note.words[3]) for note in notes if note.kind == GIVEN}
    for alias, digest, volser in sorted(given):
        key = keys.get(alias)
        if key is None:
            yield f"key {alias} is lost"
        elif digests.get(alias) != digest and not (key.state is KeyState.DESTROYED and alias in doomed):
            yield f"key {alias} is another, or gone"
        elif key.state in _UNUSED:
            yield f"key {alias} is {key.state.name}, and a drive has it"
        elif key.volser != volser and epoch == 1:
            yield f"key {alias} was given to {volser} and is {key.volser or 'nobody'}'s"
    cartridges = Counter(alias for alias, _ in {(alias, volser) for alias, _, volser in given})
    yield from (
        f"key {alias} was given to {count} cartridges" for alias, count in cartridges.items() if count > 1
    )
    mounts = Counter(volser for volser, _ in {(volser, alias) for alias, _, volser in given})
    yield from (f"{volser} was given {count} keys" for volser, count in mounts.items() if count > 1)


def _made(notes: Sequence[Note], found: Snapshot, digests: dict[str, str]) -> Iterator[str]:
    missing = named(notes, MADE) - {key.alias for key in found.keys}
    yield from (f"key {alias} was made and is not there" for alias in sorted(missing))
    taken = [note.words for note in notes if note.kind == TAKEN]
    other = (alias for alias, digest in taken if digests.get(alias) != digest)
    yield from (f"key {alias} was imported, and is another or gone" for alias in other)


def _gone(notes: Sequence[Note], found: Snapshot) -> Iterator[str]:
    """Yield keys that were destroyed and are there, or the other way round."""
    gone, doomed = named(notes, GONE), named(notes, DOOMED)
    for key in found.keys:
        if key.alias in gone and (key.state is not KeyState.DESTROYED or key.sealed or key.check_value):
            yield f"key {key.alias} was destroyed, and is {key.state.name}"
        if key.state is KeyState.DESTROYED and key.alias not in doomed:
            yield f"key {key.alias} was destroyed, and nobody asked for that"


def _graves(home: Home, store: Store, found: Snapshot) -> Iterator[str]:
    """Yield keys that have a tombstone, and are to be had."""
    buried = read_tombstones(home.anchor.with_name(TOMBSTONES), store.ring.seals, store.estate_id)
    alive = (key for key in found.keys if key.key_id in buried and key.sealed)
    yield from (f"key {key.alias} has a tombstone, and is {key.state.name}" for key in alive)


def _unprotected(home: Home, settings: Settings, found: Snapshot) -> Iterator[str]:
    """Yield keys that may be given out, or were, and are in one place only."""
    if settings["keystore.protect"] == "none":
        return
    kept = [row for row in found.backups if row.state is BackupState.VERIFIED]
    kept = [row for row in kept if _is_whole(home, settings, row)]
    safe = max((row.created_seq for row in kept), default=0)
    for key in found.keys:
        if key.created_seq > safe and key.state not in (KeyState.GENERATED, KeyState.QUARANTINED):
            yield f"key {key.alias} is {key.state.name}, and in no verified backup"


def _backups(
    home: Home, settings: Settings, notes: Sequence[Note], found: Snapshot, epoch: int
) -> Iterator[str]:
    rows = {row.name: row for row in found.backups}
    for note in notes:
        if note.kind == BACKED and epoch == 1:
            row = rows.get(note.words[0])
            if row is None or row.state not in (BackupState.VERIFIED, BackupState.REMOVED):
                yield f"backup {note.words[0]} was verified, and is not known"
            elif row.state is BackupState.VERIFIED and not (
                _is_whole(home, settings, row) or _is_swept(home, settings, found, row)
            ):
                yield f"backup {row.name} was verified, and its file is another"
        elif note.kind == ROTATED:
            old = [
                key.alias for key in found.keys if key.sealed and version_of(key.sealed) < int(note.words[0])
            ]
            yield from (f"key {alias} is under an older record key" for alias in old)


def _is_whole(home: Home, settings: Settings, row: Backup) -> bool:
    """Tell whether a backup's file lies where the settings say; its row names where the home once was."""
    path = _file_of(home, settings, row)
    return path.is_file() and sha256(path.read_bytes()).digest() == row.sha256


def _is_swept(home: Home, settings: Settings, found: Snapshot, row: Backup) -> bool:
    """Tell whether a backup's file went as one too many: a kill may come before its row says so."""
    outdated = Backups(found.backups, found.settings, now_us).outdated(Path(row.target))
    return row in outdated and not _file_of(home, settings, row).exists()


def _file_of(home: Home, settings: Settings, row: Backup) -> Path:
    return home.path / settings["backup.target"] / row.name
