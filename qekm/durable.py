"""Files that a loss of power leaves whole: all of the content before the name, and the name for good."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_MODE = 0o600


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable; OSError. SQLite and a renaming do not."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def create(path: Path, content: bytes) -> None:
    """Write a new file, 0600, durable but for its name; FileExistsError, another OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    _fill(os.open(path, flags, _MODE), content)


def put(path: Path, content: bytes, owner: os.stat_result | None = None) -> None:
    """Write a file, 0600, in the place of what is there: whole, or not at all; its name is not yet durable.

    owner: whose it will be, if not the user's who writes it. A symbolic link is replaced, never followed.
    OSError, and nothing has changed.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        if owner is not None:
            os.fchown(handle, owner.st_uid, owner.st_gid)
        _fill(handle, content)
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def replace(path: Path, content: bytes) -> None:
    """Put a file in the place of another, durably; OSError. What root writes stays its owner's to read."""
    put(path, content, path.stat() if os.geteuid() == 0 and path.exists() else None)
    sync_directory(path.parent)


def write_all(handle: int, content: bytes) -> None:
    """Write past any buffer of Python's, which would hold keys in clear longer than need be; OSError."""
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]


def _fill(handle: int, content: bytes) -> None:
    """Write a file's content, make it durable, and close it."""
    try:
        write_all(handle, content)
        os.fsync(handle)
    finally:
        os.close(handle)
