"""Write a file whole or leave what is there: for files that people may have changed, and may want back."""

from __future__ import annotations

import logging
import os
import pwd
from pathlib import Path

from qekm.durable import put, sync_directory
from qekm.errors import FileFailed

_log = logging.getLogger(__name__)

PREVIOUS = ".1"  # behind the name of the version before


def rewrite(path: Path, content: bytes, previous: bytes | None = None) -> str:
    """Put a file in the place of another, 0600, of the same owner; FileFailed, and nothing changed.

    previous: kept beside it, under the name with .1 behind it. A symbolic link is replaced, never followed.
    Returns why the new content might not outlast a loss of power, nothing if it will; that is logged, too.
    """
    try:
        if previous is not None:
            put(path.with_name(path.name + PREVIOUS), previous, _other(path))
        put(path, content, _other(path))
    except OSError as error:
        why = f"cannot write {path}: {error.strerror}"
        raise FileFailed(why, hint=_advice(path, error), file=str(path)) from None
    try:
        sync_directory(path.parent)
    except OSError as error:  # the content is in force already: there is nothing to be refused
        told = f"{path} is written, but a loss of power may bring back the one before: {error.strerror}"
        _log.error("%s", told)
        return told
    return ""


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


def _other(path: Path) -> os.stat_result | None:
    """Return whose a file is if it is another's: what root writes, the service must still be able to read."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        found = path.parent.stat()
    return found if found.st_uid != os.geteuid() else None
