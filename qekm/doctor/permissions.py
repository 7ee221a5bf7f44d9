"""Owners and modes of what a home holds."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from qekm.doctor.finding import Seen, broken, doubtful, fine
from qekm.doctor.place import user_name
from qekm.home import Home

CLOSED = "closed"  # whoever reads it has a key: nobody but its owner may
OURS = "ours"  # whoever writes it changes what we do
_MOST = 4_096  # entries looked at


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or directory: what it is to us, and how it lies there."""

    path: Path
    rank: str
    mode: int  # st_mode
    uid: int


def judge(entries: Iterable[Entry], owner: int, name: Callable[[int], str]) -> Iterator[Seen]:
    """Yield what others may do who should not, and what is not the home's owner's. Pure."""
    wrong, count = False, 0
    for entry in entries:
        count += 1
        for seen in _judge(entry, owner, name):
            wrong = True
            yield seen
    if not wrong:
        yield fine(f"{count} files and directories are the user {name(owner)}'s alone")


def _judge(entry: Entry, owner: int, name: Callable[[int], str]) -> Iterator[Seen]:
    path, mode = entry.path, stat.S_IMODE(entry.mode)
    directory = stat.S_ISDIR(entry.mode)
    if stat.S_ISLNK(entry.mode):
        if entry.rank == CLOSED:
            yield broken(f"{path} is a link", "put the file itself there")
        return
    if entry.uid != owner:
        told = f"{path} is the user {name(entry.uid)}'s, the home is {name(owner)}'s"
        yield broken(told, f"chown {name(owner)}: {path}")
    if mode & 0o022:
        yield broken(f"others may write {path} (mode {mode:04o})", f"chmod go-rwx {path}")
    elif entry.rank == CLOSED and mode & 0o077:
        yield broken(
            f"others may read {path} (mode {mode:04o})", f"chmod {'700' if directory else '600'} {path}"
        )
    elif mode & 0o044 and not directory:
        yield doubtful(f"others may read {path} (mode {mode:04o})", f"chmod go-rwx {path}")


def entries_of(home: Home, secrets: Iterable[Path] = ()) -> Iterator[Entry]:
    """Yield what is looked at: the home, its directories, the store, keys, settings; OSError.

    secrets: further files that only their owner may read, if they are there.
    """
    tops = (home.path, home.store_directory, home.pki, home.run, home.stdout_log.parent)
    yield from _present((path, OURS) for path in tops)
    keys = [*home.pki.glob("*.key"), *home.run.glob("session-*"), home.root_key, *secrets]
    yield from _present((path, CLOSED) for path in dict.fromkeys(keys[:_MOST]))
    rest = [home.config, home.client_config, home.anchor]
    rest += [path for path in home.store_directory.glob("*") if path.is_file()][:_MOST]
    yield from _present((path, OURS) for path in rest)


def _present(paths: Iterable[tuple[Path, str]]) -> Iterator[Entry]:
    for path, rank in paths:
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue
        yield Entry(path, rank, status.st_mode, status.st_uid)


def look(home: Home, secrets: Iterable[Path] = ()) -> Iterator[Seen]:
    """Look at a home; OSError."""
    return judge(entries_of(home, secrets), os.stat(home.path).st_uid, user_name)  # noqa: PTH116 - a uid
