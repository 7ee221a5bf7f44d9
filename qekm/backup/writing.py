"""Write a backup into its directory: whole and durable under its name, or not at all. Blocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qekm import __version__
from qekm.backup.aside import Tell
from qekm.backup.codec import Writer
from qekm.backup.cover import cover_of
from qekm.backup.header import Header, prefix_of
from qekm.backup.members import NAMES, STORE, head_of
from qekm.durable import sync_directory, write_all
from qekm.errors import BackupFailed
from qekm.failpoints import failpoint
from qekm.pki import RandomBytes
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.store import Picture, picture_of

PIECE = 1 << 20  # bytes read at a time


@dataclass(frozen=True, slots=True)
class Sealing:
    """What a backup is sealed and signed with."""

    ring: KeyRing
    audit_key: Ed25519PrivateKey
    now_us: Callable[[], int]
    random_bytes: RandomBytes = os.urandom

    @property
    def audit_public_pem(self) -> bytes:
        """Return the public key of the audit trail, PEM."""
        return self.audit_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True)
class Written:
    """A backup that lies under its name."""

    path: Path
    header: Header
    size: int
    sha256: bytes


def write(copy: Path, others: Mapping[str, bytes], directory: Path, sealing: Sealing, tell: Tell) -> Written:
    """Write a backup of a copy of the store and of the other members into a directory; BackupFailed.

    The file has mode 0600 and is synced before it gets its name, and the name before this returns. What is
    in the page cache of it is dropped, so that whoever reads it next reads the disk.
    """
    picture = picture_of(copy)
    header = _header(picture, sealing)
    final, left = directory / header.name, f".{prefix_of(header.estate)}new"
    # A name of its own: an earlier attempt that hangs on its disk may go on when this one has begun.
    new = directory / f"{left}-{sealing.random_bytes(8).hex()}"
    if final.exists():
        raise BackupFailed(f"{final} is there already, and this store has not made it", backup=header.name)
    try:
        for old in directory.glob(f"{left}*"):  # of backups that were cut off
            old.unlink(missing_ok=True)
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            size, digest = _pour(_pieces(copy, others, header, picture, sealing, tell), handle)
            os.fsync(handle)
            failpoint("backup.written")
            new.rename(final)
            sync_directory(directory)
            failpoint("backup.renamed")
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)
            new.unlink(missing_ok=True)
    except OSError as error:
        what = f"the backup cannot be written to {directory}: {error.strerror or error}"
        raise BackupFailed(what, backup=header.name) from error
    return Written(final, header, size, digest)


def _header(picture: Picture, sealing: Sealing) -> Header:
    locked, public = picture.locked, sealing.audit_key.public_key()
    return Header(
        estate=locked.estate_id,
        epoch=picture.epoch,
        sequence=picture.sequence,
        root=picture.root,
        created_seq=picture.created_seq,
        key_count=picture.key_count,
        oldest=locked.versions[0],
        current=locked.versions[-1],
        audit_sequence=picture.head.sequence,
        audit_head=picture.head.hash,
        audit_key=public.public_bytes(Encoding.Raw, PublicFormat.Raw),
        create_time_us=sealing.now_us(),
        program=__version__,
    )


def _pieces(
    copy: Path, others: Mapping[str, bytes], header: Header, picture: Picture, sealing: Sealing, tell: Tell
) -> Iterator[bytes]:
    """Yield the file's bytes."""
    ring = sealing.ring
    with Secret(sealing.random_bytes(32)) as key:
        cover = cover_of(header, dict(picture.locked.slots), lambda about: ring.wrap_backup(key, about))
        writer = Writer(cover, key, sealing.audit_key.sign)
    size, done = copy.stat().st_size, 0
    yield writer.feed(head_of(STORE, size))
    with copy.open("rb") as file:
        while piece := file.read(PIECE):
            yield writer.feed(piece)
            done += len(piece)
            tell("writing", done, size)
    for name in NAMES[1:]:
        yield writer.feed(head_of(name, len(others[name])) + others[name])
    yield writer.close()


def _pour(pieces: Iterator[bytes], handle: int) -> tuple[int, bytes]:
    """Write pieces to a descriptor; return how many bytes and their SHA-256."""
    size, digest = 0, sha256()
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
        write_all(handle, piece)
    return size, digest.digest()
