"""What is done while no service runs, in a process that may be ended in its middle; and what must be left.

Each act has its beginning and its own judge: whatever was cut off, the next one who comes finds what was
there before or what should come of it, and can go on.
"""

from __future__ import annotations

import json
import os
import shutil
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from qekm.adopting import adopt
from qekm.backup.opening import root_of
from qekm.building import finish
from qekm.clock import now_us
from qekm.config import Settings
from qekm.errors import HomeExists, NotInitialised, QekmError
from qekm.home import Home
from qekm.init import Wanted, make
from qekm.replacing import replace_store
from qekm.restoring import Restorer
from qekm.restoring import Wanted as Wish
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.unlocking import unlock
from tests.faults.evidence import flaws
from tests.faults.scene import BROKEN, FAILED, begin
from tests.faults.told import DONE, named, read_notes
from tests.golden.make import HERE as GOLDEN
from tests.golden.make import describe

KEYS = 70  # more than one batch


@dataclass(frozen=True, slots=True)
class Work:
    """An act without a service: what there is before, what is done, what is wrong afterwards.

    begin is given a template: a key manager with a backup, in `home` and `backups`, what was told there in
    `notes`, and its store as it was at the backup in `earlier.db`.
    """

    begin: Callable[[Path, Path], None]  # folder, template
    play: Callable[[Path], None]  # folder
    judge: Callable[[Path, bool], Iterator[str]]  # folder, whether somebody was told that it is done


def perform(work: Work, folder: Path, notes: Path, build: str = "", failure: str = "") -> None:
    """Do the work in this process, and end it; build, failure: as for a scene."""
    told, code = begin(notes, build, failure), 0
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


def judge(work: Work, folder: Path, notes: Path, until_ns: int | None = None) -> list[str]:
    """Return what is wrong in the folder of a work; until_ns: what was told later does not count."""
    done = bool(named(read_notes(notes, until_ns), DONE))
    try:
        return [*work.judge(folder, done)]
    except QekmError as error:
        return [f"nobody can go on: {error!r}"]


def sync_tree(folder: Path) -> None:
    """Make everything in a folder, and the folder, durable."""
    for directory, _, files in os.walk(folder):
        for path in (*(Path(directory) / name for name in files), Path(directory)):
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)


# An older store is opened by this version.


def _old(folder: Path, _template: Path) -> None:
    (folder / "store").mkdir(parents=True)
    for name, place in (("qekm.db", "store/qekm.db"), ("root.key", "root.key")):
        shutil.copy(GOLDEN / "0.1.0" / name, folder / place)
        (folder / place).chmod(0o600)


def _open(folder: Path) -> Store:
    return Store.open(folder / "store" / "qekm.db", unlock(KeyFileSealer(folder / "root.key")))


def _migrate(folder: Path) -> None:
    _open(folder).close()


def _migrated(folder: Path, _done: bool) -> Iterator[str]:
    expected = json.loads((GOLDEN / "0.1.0" / "expected.json").read_text())
    with closing(_open(folder)) as store:
        found = describe(store)
    yield from (f"{name} is not what it was" for name in expected if found[name] != expected[name])


# A key manager is made.


def _nothing(folder: Path, _template: Path) -> None:
    folder.mkdir(parents=True)


def _init(folder: Path) -> None:
    make(Home(folder / "home"), Wanted(keys=KEYS, properties={"keystore.protect": "none"}), now_us)


def _initialised(folder: Path, done: bool) -> Iterator[str]:
    home = Home(folder / "home")
    if _is_there(home, done, lambda: _init(folder)):
        yield from flaws(home, [])
        with Store.looked_at(home.store) as store:
            count = len(store.load().keys)
        if count != KEYS:
            yield f"{count} keys of {KEYS} are there"


def _is_there(home: Home, done: bool, again: Callable[[], None]) -> bool:
    """Tell whether a whole home is there, now that it was made again if need be.

    Where only a part is there, whoever comes next must be told what to do.
    """
    try:
        home.require()
    except NotInitialised:
        if done:
            raise
        try:
            again()
        except HomeExists as error:
            assert error.hint, "a part of a key manager is left, and nobody says what to do"
            return False
    return True


# A backup is restored: onto nothing, and in the place of a store.


def _backed_up(folder: Path, template: Path) -> None:
    shutil.copytree(template, folder)


def _restorer(folder: Path, home: Path) -> Restorer:
    newest = max((folder / "backups").glob("*.qbk"), key=lambda path: int(path.stem.rpartition("-")[2]))
    return Restorer(Home(home), Wish(newest), now_us)


def _restore(folder: Path) -> None:
    sealer = KeyFileSealer(folder / "home" / "root.key")
    _restorer(folder, folder / "new").onto_nothing(lambda cover: root_of(cover, sealer))


def _restored(folder: Path, done: bool) -> Iterator[str]:
    home = Home(folder / "new")
    if _is_there(home, done, lambda: _restore(folder)):
        yield from flaws(home, read_notes(folder / "notes"), epoch=2)


def _replace(folder: Path) -> None:
    home = Home(folder / "home")
    replace_store(_restorer(folder, home.path), Settings.load(home.config), KeyFileSealer(home.root_key))


def _replaced(folder: Path, done: bool) -> Iterator[str]:
    home = Home(folder / "home")
    finish(home)
    with Store.looked_at(home.store) as store:
        epoch = store.load().settings["keystore.epoch"]
    if done and epoch == "1":
        yield "the store was replaced, and is the one before"
    yield from flaws(home, read_notes(folder / "notes"), epoch=int(epoch))


# An old copy is made the present one.


def _put_back(folder: Path, template: Path) -> None:
    _backed_up(folder, template)
    shutil.copy(folder / "earlier.db", folder / "home" / "store" / "qekm.db")


def _adopt(folder: Path) -> None:
    home = Home(folder / "home")
    adopt(home, Settings.load(home.config), KeyFileSealer(home.root_key), now_us)


def _adopted(folder: Path, done: bool) -> Iterator[str]:
    home = Home(folder / "home")
    with closing(Store.open(home.store, unlock(KeyFileSealer(home.root_key)), anchor=home.anchor)) as store:
        behind = store.behind
    if behind and done:
        yield f"an old copy was adopted, and is one: {behind}"
    elif behind:
        _adopt(folder)
    yield from flaws(home, read_notes(folder / "notes"), epoch=2)


WORKS = {
    "migrate": Work(_old, _migrate, _migrated),
    "init": Work(_nothing, _init, _initialised),
    "restore": Work(_backed_up, _restore, _restored),
    "replace": Work(_backed_up, _replace, _replaced),
    "adopt": Work(_put_back, _adopt, _adopted),
}
