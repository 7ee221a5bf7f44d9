"""A file that only its owner may read: what opens the store without a person."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from qekm.errors import BadConfiguration


def read_private(
    path: Path, longest: int, *, title: str, option: str, credentials: Path | None = None
) -> bytes:
    """Return a private file's bytes, at most `longest` + 1; BadConfiguration if it is missing or not private.

    title: what people call the file. option: what names it. credentials: where systemd puts this service's.
    """

    def bad(what: str, hint: str) -> BadConfiguration:
        return BadConfiguration(f"the {title} {path} {what}", hint=hint, file=str(path))

    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise bad(f"cannot be read: {error.strerror}", f"name it with {option}") from None
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise bad("is not a regular file", "name the file itself, no link or device")
        if status.st_mode & _others(path, credentials):
            raise bad("can be read by others", f"make it private: chmod 600 {path}")
        return os.read(handle, longest + 1)
    finally:
        os.close(handle)


def _others(path: Path, credentials: Path | None) -> int:
    """Return the permissions that others than the owner must not have.

    systemd gives a credential to a service's user by an ACL, whose mask then shows as the group's right to
    read (acl(5)): 0440 is not open to a group there, and its directory is closed to everybody else.
    """
    return 0o037 if credentials is not None and path.parent == credentials else 0o077
