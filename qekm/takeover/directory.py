"""The directory of an installation of the original, or a copy of it: read, and never written to."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from qekm.errors import BadArgument, BadFile
from qekm.home import Home


class Directory:
    """Files by their names there; `read` remembers which were, so that the others can be named."""

    def __init__(self, path: Path, home: Home) -> None:
        """BadArgument unless it is a directory, no key manager of ours, and `home` is not in it; BadFile."""
        self.path = path.absolute()
        self._read: set[Path] = set()
        if not self.path.is_dir():
            raise BadArgument(f"there is no directory {self.path}", field="from")
        if self._is_ours():
            hint = "move it as it is, or bring its newest backup: qekm backup restore"
            raise BadArgument(f"{self.path} holds a key manager of this program", hint=hint, field="from")
        if home.path.resolve().is_relative_to(self.path.resolve()):
            hint = f"name a home elsewhere with --home: nothing is written to {self.path}"
            raise BadArgument(f"the new home {home.path} would be in the old one", hint=hint, field="from")

    def _is_ours(self) -> bool:
        old = Home(self.path)
        try:
            return any(each.exists() for each in (old.store, old.root_key, old.pki))
        except OSError as error:  # of the directory, which may not be searched
            raise _unreadable(self.path, error) from None

    def find(self, named: str) -> Path | None:
        """Return the file here that a path of the old machine names: the longest end of it that is here.

        Separators of either kind of system; one whose name differs only in case, if there is one such.
        """
        parts = [part for part in re.split(r"[/\\]+", named) if part not in ("", ".")]
        ends = (parts[start:] for start in range(len(parts))) if ".." not in parts else ()
        return next((found for end in ends if (found := self._walk(end)) is not None), None)

    def _walk(self, names: list[str]) -> Path | None:
        place = self.path
        for name in names:
            same = [each for each in _listed(place) if each.casefold() == name.casefold()]
            if name not in same and len(same) != 1:
                return None
            place /= name if name in same else same[0]
        return None if place.is_dir() else place

    def read(self, path: Path, most: int) -> bytes:
        """Return a file's content, which has at most so many bytes; BadFile. No pipe is waited for."""
        content = self.peek(path, most + 1)
        if len(content) > most:
            raise BadFile(f"{path} has over {most:,} bytes, more than any such file", file=str(path))
        if not content:
            raise BadFile(f"{path} is empty", file=str(path))
        self._read.add(path)
        return content

    def peek(self, path: Path, length: int = 64) -> bytes:
        """Return the beginning of a file, which does not count as read; BadFile."""
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise BadFile(f"{path} is not a regular file", file=str(path))
                return file.read(length)
        except OSError as error:
            raise _unreadable(path, error) from None

    def was_read(self, path: Path) -> bool:
        """Tell whether a file was read."""
        return path in self._read

    def unread(self) -> list[str]:
        """Return the names in the directory that nothing was read of, those of directories with a slash."""
        names = [name for name in _listed(self.path) if self.path / name not in self._read]
        return [f"{name}/" if (self.path / name).is_dir() else name for name in sorted(names)]


def _listed(path: Path) -> list[str]:
    """Return the names in a directory; BadFile. One that is no directory has none."""
    try:
        return [each.name for each in path.iterdir()] if path.is_dir() else []
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> BadFile:
    hint = "run this as a user who may read it, or let this one: nothing in there is changed"
    return BadFile(f"{path} cannot be read: {error.strerror}", hint=hint, file=str(path))
