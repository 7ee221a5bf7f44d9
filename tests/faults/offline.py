"""What is done while no service runs, in a process that may be ended in its middle; and what must be left.

Each act has its beginning (a fresh folder) and its own judge: whatever was cut off, the next one who comes
finds either what was there before or what should come of it, and can go on.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qekm.clock import now_us
from qekm.errors import HomeExists, NotInitialised, QekmError
from qekm.home import Home
from qekm.init import Wanted, make
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.unlocking import unlock
from tests.faults.evidence import flaws
from tests.faults.sabotage import sabotage
from tests.faults.scene import BROKEN, FAILED
from tests.faults.told import DONE, Note, Notes, named
from tests.golden.make import HERE as GOLDEN
from tests.golden.make import describe

KEYS = 70  # more than one batch


@dataclass(frozen=True, slots=True)
class Work:
    """An act without a service: what there is before, what is done, what is wrong afterwards."""

    begin: Callable[[Path], None]
    play: Callable[[Path], None]
    judge: Callable[[Path, bool], list[str]]  # folder, whether it was told to be done

    def flaws(self, folder: Path, notes: list[Note]) -> list[str]:
        """Return what is wrong in a folder."""
        return self.judge(folder, bool(named(notes, DONE)))


def perform(work: Work, folder: Path, notes: Path, build: str = "") -> None:
    """Do the work in this process, and end it."""
    sabotage(build)
    sys.stdout = sys.stderr = notes.with_suffix(".out").open("a", buffering=1)
    told, code = Notes(notes), 0
    told.put("begun")
    try:
        work.play(folder)
        told.put(DONE, "done")
    except (QekmError, OSError) as error:
        print(f"refused: {error!r}")
        code = FAILED
    except BaseException:
        traceback.print_exc()
        code = BROKEN
    os._exit(code)


# An older store is opened by this version.


def _old(folder: Path) -> None:
    (folder / "store").mkdir(parents=True)
    for name, place in (("qekm.db", "store/qekm.db"), ("root.key", "root.key")):
        shutil.copy(GOLDEN / "0.1.0" / name, folder / place)
        (folder / place).chmod(0o600)
        _sync(folder / place)
    for directory in (folder / "store", folder, folder.parent):
        _sync(directory)


def _open(folder: Path) -> Store:
    return Store.open(folder / "store" / "qekm.db", unlock(KeyFileSealer(folder / "root.key")))


def _migrate(folder: Path) -> None:
    _open(folder).close()


def _migrated(folder: Path, _done: bool) -> list[str]:
    expected = json.loads((GOLDEN / "0.1.0" / "expected.json").read_text())
    try:
        store = _open(folder)
    except QekmError as error:
        return [f"the older store does not open: {error.message}"]
    try:
        found = describe(store)
        return [f"{name} is not what it was" for name in expected if found[name] != expected[name]]
    finally:
        store.close()


# A key manager is made.


def _nothing(folder: Path) -> None:
    folder.mkdir(parents=True)
    _sync(folder)
    _sync(folder.parent)


def _init(folder: Path) -> None:
    make(Home(folder / "home"), Wanted(keys=KEYS, properties={"keystore.protect": "none"}), now_us)


def _initialised(folder: Path, done: bool) -> list[str]:
    """Either it is there and whole, or the next init says what to do about the rest, or makes it."""
    home = Home(folder / "home")
    try:
        home.require()
    except NotInitialised:
        if done:
            return ["a key manager that was made is not there"]
        try:
            _init(folder)
        except HomeExists as error:
            return [] if error.advice else ["half a key manager is left, and nobody says what to do"]
    found = flaws(home, [])
    with Store.looked_at(home.store) as store:
        count = len(store.load().keys)
    return found if count == KEYS else [*found, f"{count} keys of {KEYS} are there"]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


WORKS = {"migrate": Work(_old, _migrate, _migrated), "init": Work(_nothing, _init, _initialised)}
