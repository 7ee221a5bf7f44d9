"""Write a file whole or leave what is there: for files that people may have changed, and may want back."""

from __future__ import annotations

import os
import pwd
import tempfile
from pathlib import Path

from qekm.errors import FileFailed

PREVIOUS = ".1"  # behind the name of the version before


def rewrite(path: Path, content: bytes, previous: bytes | None = None) -> None:
    """Put a file in the place of another, 0600, durable, of the same owner; FileFailed, and nothing changed.

    previous: kept beside it, under the name with .1 behind it. A symbolic link stays one.
    """
    place = path.resolve()
    try:
        if previous is not None:
            _put(place.with_name(place.name + PREVIOUS), previous, place)
        _put(place, content, place)
    except OSError as error:
        why = f"cannot write {path}: {error.strerror}"
        raise FileFailed(why, hint=_advice(place, error), file=str(path)) from None


def owner_of(path: Path) -> str:
    """Return the name of the user to whom a file belongs; empty if that cannot be told."""
    try:
        uid = path.stat().st_uid
    except OSError:
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _advice(place: Path, error: OSError) -> str | None:
    there = place if place.exists() else place.parent
    owner = owner_of(there) if isinstance(error, PermissionError) else ""
    return f"{there} belongs to user {owner}: run this as that user" if owner else None


def _put(path: Path, content: bytes, like: Path) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            _give(file.fileno(), like)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _give(handle: int, like: Path) -> None:
    """Give an open file to whom another belongs: what root writes, the service must still be able to read."""
    try:
        wanted = like.stat()
    except FileNotFoundError:
        wanted = like.parent.stat()
    if wanted.st_uid != os.geteuid():
        os.fchown(handle, wanted.st_uid, wanted.st_gid)
