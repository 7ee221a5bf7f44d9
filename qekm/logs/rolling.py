"""A log file of bounded size: it rolls into its predecessors, and is made anew when it is taken away."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from qekm.durable import write_all

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class RollingFile:
    """PATH and its predecessors PATH.1 (the youngest) to PATH.n, each of at most `share` bytes, 0600.

    Records begin with `begins` and end with `ends`. What a crash left of one behind the last whole one is cut
    off when the file is opened; so is what a full disk let through of one. Every method raises OSError.
    """

    def __init__(
        self, path: Path, share: int, predecessors: int, begins: bytes = b"", ends: bytes = b"\n"
    ) -> None:
        self.path = path
        self._share, self._predecessors = share, predecessors
        self._begins, self._ends = begins, ends
        self._handle = -1
        self._identity = (0, 0)
        self._size = 0

    def open(self) -> None:
        """Make sure that the file is the one of that name: whoever deletes or moves it gets it made anew."""
        if self._handle >= 0:
            with suppress(FileNotFoundError):
                found = self.path.lstat()
                if (found.st_dev, found.st_ino) == self._identity:
                    self._size = found.st_size  # somebody may have emptied it
                    return
            self.close()
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._bound()
        self._take_up()

    def write(self, records: Sequence[bytes]) -> None:
        """Append records; each is whole in one of the files, or nowhere."""
        self.open()
        chunk = bytearray()
        for record in records:
            if self._size + len(chunk) + len(record) > self._share and self._size + len(chunk):
                self._put(chunk)
                chunk.clear()
                self._roll()
                self._take_up()
            chunk += record
        self._put(chunk)

    def contents(self) -> Iterator[bytes]:
        """Yield what the file holds, then its predecessors, the youngest first."""
        self.open()
        yield os.pread(self._handle, self._size, 0)
        for number in range(1, self._predecessors + 1):
            with suppress(FileNotFoundError):
                yield self._name(number).read_bytes()

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _name(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path

    def _put(self, chunk: bytes | bytearray) -> None:
        try:
            write_all(self._handle, bytes(chunk))
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._handle, self._size)
            self.close()
            raise
        self._size += len(chunk)

    def _take_up(self) -> None:
        """Open the file, or make it, and mend its end."""
        self._handle = handle = os.open(self.path, _FLAGS, 0o600)
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "not a regular file", str(self.path))
            os.fchmod(handle, 0o600)
            self._identity, self._size = (found.st_dev, found.st_ino), found.st_size
            self._mend()
        except BaseException:
            self.close()
            raise

    def _mend(self) -> None:
        """Cut off what is no whole record at the end; what is none of ours there gets the end of a line."""
        content = os.pread(self._handle, self._size, 0)
        if not content or content.endswith(self._ends):
            return
        whole = content.rfind(self._ends)
        whole = whole + len(self._ends) if whole >= 0 else 0
        rest = content[whole:].rstrip(b"\0")  # a power cut may leave bytes that were never written
        ours = rest.startswith(self._begins) or self._begins.startswith(rest)
        self._size = whole if ours else whole + len(rest)
        os.ftruncate(self._handle, self._size)
        if not ours and not rest.endswith(b"\n"):
            self._put(b"\n")

    def _bound(self) -> None:
        """See that nothing is larger than it may be, as after another size was set: the oldest goes."""
        with suppress(FileNotFoundError):
            if self.path.lstat().st_size > self._share:
                self._roll()
        for number in range(1, self._predecessors + 1):
            with suppress(FileNotFoundError):
                if self._name(number).lstat().st_size > self._share:
                    self._cut(self._name(number))

    def _roll(self) -> None:
        """Make the file its own youngest predecessor; the oldest goes."""
        self.close()
        for number in range(self._predecessors, 0, -1):
            with suppress(FileNotFoundError):
                self._name(number - 1).rename(self._name(number))
        if not self._predecessors:
            self.path.unlink()

    def _cut(self, path: Path) -> None:
        """Keep of a file its youngest whole records."""
        with path.open("rb") as file:
            file.seek(-self._share, os.SEEK_END)
            content = file.read()
        start = content.find(b"\n" + self._begins) + 1
        aside = path.with_name(f"{path.name}.cut")
        with suppress(FileNotFoundError):
            aside.unlink()
        with os.fdopen(os.open(aside, _FLAGS | os.O_EXCL, 0o600), "wb") as file:
            file.write(content[start:] if start else b"")
        aside.rename(path)
