"""Prove a backup: everything that a restore would do but putting it in place. Blocks; a process of its own.

What is proved is what lies on the disk: every chunk, every row, every key, every link of the trail, and that
all of it is what the header says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from qekm.audit import verify_trail
from qekm.backup.aside import Tell
from qekm.backup.codec import Reader
from qekm.backup.cover import Cover
from qekm.backup.header import Header
from qekm.backup.members import AUDIT_KEY, STORE
from qekm.backup.reading import extract, key_of
from qekm.errors import BackupDamaged, BackupFailed, StoreDamaged, StoreFailed
from qekm.estate import Estate
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.store import Picture, Store, picture_of

_TELL_EVERY = 1_000

OpenRing = Callable[
    [Cover], KeyRing
]  # from what a backup's cover shows; BackupDamaged, or what a slot raises


@dataclass(frozen=True, slots=True)
class Proved:
    """What was proved, in numbers that JSON can carry."""

    sha256: str  # of the file
    size: int
    epoch: int
    sequence: int
    created_seq: int
    keys: int
    records: int  # of the trail

    @classmethod
    def of(cls, found: dict[str, Any]) -> Proved:
        """Return it from its JSON; TypeError."""
        return cls(**found)

    def dump(self) -> dict[str, Any]:
        """Return it as JSON carries it."""
        return asdict(self)


def prove(
    path: Path, open_ring: OpenRing, directory: Path, tell: Tell, reader: type[Reader] = Reader
) -> Proved:
    """Prove a backup in an empty directory, which holds its members afterwards.

    BackupDamaged, UnknownBackup, BackupFailed for a disk that cannot be used, and what `open_ring` raises.
    """
    rings: list[KeyRing] = []

    def unwrap(cover: Cover) -> Secret:
        rings.append(open_ring(cover))
        return key_of(rings[0], cover)

    found = extract(path, unwrap, directory, tell, reader)
    header = found.cover.header
    examine(directory / STORE, directory / AUDIT_KEY, found.cover, rings[0], tell)
    return Proved(
        found.sha256.hex(),
        found.size,
        header.epoch,
        header.sequence,
        header.created_seq,
        header.key_count,
        header.audit_sequence,
    )


def examine(copy: Path, audit_key: Path, cover: Cover, ring: KeyRing, tell: Tell) -> None:
    """Open a store that came out of a backup as a start does, and everything in it; BackupDamaged."""
    header = cover.header
    try:
        _compare(picture_of(copy), cover)
        store = Store.open(copy, lambda _locked: ring)
        try:
            _check_versions(ring, store.record_versions(), header)
            _open_everything(store, header, audit_key, tell)
        finally:
            store.close()
    except StoreDamaged as error:
        what = f"the store in the backup is damaged: {error.message}"
        raise BackupDamaged(what, backup=header.name) from error
    except StoreFailed as error:
        raise BackupFailed(f"the backup cannot be proved: {error.message}", backup=header.name) from error


def _check_versions(ring: KeyRing, used: set[int], header: Header) -> None:
    """Raise BackupFailed, which says nothing against the backup, if keys of it cannot be opened here."""
    missing = used - ring.versions
    if missing:
        what = f"keys of the backup are under version {min(missing)} of the record key, which is forgotten"
        raise BackupFailed(what, hint="open it with a slot: qekm backup drill", backup=header.name)


def _compare(picture: Picture, cover: Cover) -> None:
    header, locked = cover.header, picture.locked
    says = (header.estate, (header.oldest, header.current), cover.slots)
    if says != (locked.estate_id, (locked.versions[0], locked.versions[-1]), dict(locked.slots)):
        raise BackupDamaged("the backup's header is of another store", backup=header.name)
    says_numbers = (header.epoch, header.sequence, header.root, header.key_count, header.created_seq)
    found = (picture.epoch, picture.sequence, picture.root, picture.key_count, picture.created_seq)
    if says_numbers != found or (header.audit_sequence, header.audit_head) != (
        picture.head.sequence,
        picture.head.hash,
    ):
        raise BackupDamaged("the backup's header is of another commit", backup=header.name)


def _open_everything(store: Store, header: Header, audit_key: Path, tell: Tell) -> None:
    """Open every key and every secret, and check the whole trail; BackupDamaged, StoreDamaged."""
    found, total = store.load(), header.key_count + header.audit_sequence
    for number, key in enumerate(found.keys, 1):
        if key.sealed:
            store.ring.open_key(key).wipe()
        if number % _TELL_EVERY == 0:
            tell("proving", number, total)
    for vault in found.vaults.values():
        if vault.sealed:
            store.ring.open_vault(vault).wipe()
    estate = Estate.load(found.vaults, found.settings, store.ring)
    public = Ed25519PublicKey.from_public_bytes(header.audit_key)
    if estate.audit_key.public_key() != public or audit_key.read_bytes() != estate.audit_public_pem:
        raise BackupDamaged("the backup's audit key is another", backup=header.name)
    verdict = verify_trail(
        store.iterate_audit(),
        public,
        header.audit_sequence,
        lambda checked: tell("proving", header.key_count + checked, total),
    )
    if not verdict.intact:
        what = f"the audit trail in the backup breaks at record {verdict.broken_at:,}: {verdict.reason}"
        raise BackupDamaged(what, backup=header.name)
    tell("proving", total, total)
