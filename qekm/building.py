"""Build a home aside and put it in place: all of it or nothing. What init and restore share.

Into a directory that holds no key manager the parts are moved in an order in which what is there never looks
like a whole one before it is. In the place of one that is there they are exchanged: a journal names both
sides, so that whoever comes after a crash finishes it, and what was there is kept beside.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qekm.durable import create, sync_directory
from qekm.errors import BadConfiguration, HomeExists, NotInitialised
from qekm.failpoints import failpoint
from qekm.home import Home

_BUILD = ".init-"
# In the order in which they are put in place. Home.require asks for the last two: a home that lacks one of
# them is not initialised.
_PARTS = (
    *("pki", "run", "keymanager", "takeover.txt", "ClientKeyManagerConfig.properties"),
    *("root.key", "store", "KeyManagerConfig.properties"),
)
_HARMLESS = ("run", "keymanager")  # may be there before: they hold nothing that lasts
_CUT_OFF = (
    "if an init or a restore was cut off here, remove the directory and run it again; if this key manager "
    "was ever started, its keys are in there: put its KeyManagerConfig.properties back"
)


@contextmanager
def built(home: Home) -> Iterator[Home]:
    """Let the block build a home aside and put it in place when the block has ended well; HomeExists."""
    with _claimed(home) as handle:
        _check_empty(home)
        with _aside(home) as new:
            yield new
            _sync_all(new)
            failpoint("restore.installing")
            for part in _PARTS:
                if (new.path / part).exists() and not (home.path / part).exists():
                    (new.path / part).rename(home.path / part)
                    os.fsync(handle)
            failpoint("restore.installed")


@contextmanager
def built_in_place_of(home: Home, kept: str) -> Iterator[Home]:
    """Let the block build a home aside, and exchange it for the one that is there if the block ends well.

    kept: what is added to the names of the parts that were there. Nobody may use the home from then on.
    """
    with _claimed(home) as handle:
        home.require()
        with _aside(home) as new:
            yield new
            _sync_all(new)
            journal = new.path / home.pending.name
            create(journal, json.dumps({"new": new.path.name, "kept": kept}).encode())
            journal.rename(home.pending)
            os.fsync(handle)
            _exchange(home, handle)


def finish(home: Home) -> str:
    """Finish an exchange that was cut off; return what was added to the names of what is kept, else nothing.

    Everything of the new home is on the disk when its journal is, so no secret is needed for this.
    """
    if not home.pending.exists():
        return ""
    with _claimed(home) as handle:
        return _exchange(home, handle)


def _exchange(home: Home, handle: int) -> str:
    """Move each part of the journal's new home in, and what was in its place aside; again is no error."""
    try:
        journal = json.loads(home.pending.read_bytes())
        new, kept = home.path / str(journal["new"]), str(journal["kept"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotInitialised(f"{home.pending} cannot be read", home=str(home.path)) from error
    failpoint("restore.installing")
    for part in _PARTS:
        if part in _HARMLESS or not (new / part).exists():
            continue
        if (home.path / part).exists():
            (home.path / part).rename(home.path / f"{part}.{kept}")
        (new / part).rename(home.path / part)
        os.fsync(handle)
    failpoint("restore.installed")
    home.pending.unlink()
    os.fsync(handle)
    shutil.rmtree(new, ignore_errors=True)
    return kept


@contextmanager
def _claimed(home: Home) -> Iterator[int]:
    """Keep everybody else from building in this home; the directory's descriptor. HomeExists."""
    _make_directory(home.path)
    handle = os.open(home.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(handle, home)
        yield handle
    finally:
        os.close(handle)


def _lock(handle: int, home: Home) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise HomeExists(f"another init is making a key manager in {home.path}") from None


@contextmanager
def _aside(home: Home) -> Iterator[Home]:
    """Give a new home within another one, which is gone when the block ends, unless a journal names it."""
    for left in home.path.glob(f"{_BUILD}*"):  # of an init that was killed: the lock tells that it is gone
        shutil.rmtree(left, ignore_errors=True)
    new = Home(Path(tempfile.mkdtemp(prefix=_BUILD, dir=home.path)))
    try:
        for directory in (new.pki, new.run, new.stdout_log.parent):
            directory.mkdir(mode=0o700)
        yield new
    finally:
        if not home.pending.exists():
            shutil.rmtree(new.path, ignore_errors=True)


def _make_directory(path: Path) -> None:
    """Make the home, 0700. One that is there gets this mode only while it is empty: it could be anybody's."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(path.iterdir()):
            path.chmod(0o700)
    except OSError as error:
        raise BadConfiguration(f"cannot make {path}: {error.strerror}", file=str(path)) from None


def _check_empty(home: Home) -> None:
    """Make sure that no key manager and no part of one is here; HomeExists."""
    for part in reversed(_PARTS):
        if part not in _HARMLESS and (home.path / part).exists():
            whole = "a key manager already" if home.config.exists() else "a part of a key manager"
            hint = None if home.config.exists() else _CUT_OFF
            raise HomeExists(f"{home.path} holds {whole}: {part} is there", hint=hint, home=str(home.path))


def _sync_all(new: Home) -> None:
    """Make the names in a new home durable."""
    for directory in (new.pki, new.store_directory, new.path):
        sync_directory(directory)
