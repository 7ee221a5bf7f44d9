"""Read backups from disk: the cover of one, of all in a directory, the members of one. Blocks."""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from qekm.backup.aside import Tell
from qekm.backup.codec import Reader, Unwrap
from qekm.backup.cover import MOST_BYTES, Cover
from qekm.backup.header import prefix_of
from qekm.backup.members import NAMES, Sorter
from qekm.backup.writing import PIECE
from qekm.errors import BackupDamaged, BackupFailed, UnknownBackup
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.store.anchor import Witness

_log = logging.getLogger(__name__)

_ANSWER_S = 10.0  # for a directory to answer at a start


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a backup's file was, once its members lie in a directory; everything in it is authentic."""

    cover: Cover
    size: int
    sha256: bytes


def extract(
    path: Path, unwrap: Unwrap, directory: Path, tell: Tell, reader: type[Reader] = Reader
) -> Extracted:
    """Write the members of a backup into a directory, each with mode 0600, none of them there before.

    UnknownBackup if there is no such file, BackupDamaged, BackupFailed for a disk that cannot be used, and
    what `unwrap` raises.
    """
    source, sorter, digest = reader(unwrap), Sorter(), sha256()
    try:
        with ExitStack() as stack:
            file = stack.enter_context(_opened(path))
            files = {name: stack.enter_context(_new(directory / name)) for name in NAMES}
            size, done = os.fstat(file.fileno()).st_size, 0
            while piece := file.read(PIECE):
                digest.update(piece)
                done += len(piece)
                for name, part in sorter.feed(source.feed(piece)):
                    files[name].write(part)
                tell("reading", done, size)
            for name, part in sorter.feed(source.close()):
                files[name].write(part)
            sorter.close()
            for member in files.values():
                member.flush()
                os.fsync(member.fileno())  # a restore gives them their names for good
    except OSError as error:
        raise BackupFailed(f"the backup {path} cannot be read: {error.strerror}", backup=path.name) from error
    assert source.cover is not None
    return Extracted(source.cover, done, digest.digest())


def cover_at(path: Path) -> Cover:
    """Return the cover of a file, not yet authenticated; UnknownBackup, BackupDamaged, BackupFailed."""
    try:
        with _opened(path) as file:
            found = Cover.parse(file.read(MOST_BYTES))
    except OSError as error:
        raise BackupFailed(f"the backup {path} cannot be read: {error.strerror}", backup=path.name) from None
    if found is None:
        raise BackupDamaged(f"the backup {path} is cut off", backup=path.name)
    return found[0]


def _opened(path: Path) -> BinaryIO:
    """Open a regular file, and wait for nobody; UnknownBackup, BackupDamaged, OSError."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UnknownBackup(f"there is no file {path}", backup=path.name) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise BackupDamaged(f"{path} is no file", backup=path.name)
    return os.fdopen(handle, "rb")


def _new(path: Path) -> BinaryIO:
    """Open a new file of mode 0600; OSError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def key_of(ring: KeyRing, cover: Cover) -> Secret:
    """Return the stream's key of a backup of this ring's estate; BackupDamaged for any other."""
    key = ring.unwrap_backup(cover.wrapped, cover.about)
    if key is None:
        what = "the backup is another estate's, or its beginning was altered"
        raise BackupDamaged(what, backup=cover.header.name)
    return key


def seen(directory: Path | None, ring: KeyRing) -> list[Witness]:
    """Return what the backups of a ring's estate in a directory have seen of its store.

    A directory that cannot be read, or does not answer in time, says nothing: a start must not hang on it.
    """
    found: list[Witness] = []

    def look() -> None:
        try:
            found.extend(() if directory is None else _witnesses(directory, ring))
        except OSError as error:
            _log.warning("the backups in %s cannot be read: %s", directory, error.strerror)

    thread = threading.Thread(target=look, name="qekm-witnesses", daemon=True)
    thread.start()
    thread.join(_ANSWER_S)
    if thread.is_alive():
        _log.warning("%s does not answer: its backups are not asked how far the store was", directory)
    return list(found)


def _witnesses(directory: Path, ring: KeyRing) -> Iterator[Witness]:
    """Yield the witnesses that can be believed, because only the holder of the root key wraps a key so."""
    for path in sorted(directory.glob(f"{prefix_of(ring.estate_id)}*.qbk")):
        try:
            cover = cover_at(path)
            key_of(ring, cover).wipe()
        except (BackupDamaged, BackupFailed, UnknownBackup):
            continue
        yield Witness(cover.header.epoch, cover.header.sequence, cover.header.root)
