"""What is done while no service runs, in a process that may be ended in its middle; and what must be left.

Each act has its beginning and its own judge: whatever was cut off, the next one who comes finds what was
there before or what should come of it, and can go on.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from qekm.adopting import adopt
from qekm.backup.opening import root_of
from qekm.building import finish
from qekm.clock import now_us
from qekm.configuration.settings import Settings
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
from tests.faults.sabotage import sabotage
from tests.faults.scene import BROKEN, FAILED, begin
from tests.faults.told import DONE, MADE, Note, Notes, named, read_notes
from tests.golden.make import HERE as GOLDEN
from tests.golden.make import describe
from tests.qekm.store.material import SIGNER, create, make_key, make_record
from tests.qekm.store.material import unlock as any_ring

KEYS = 70  # more than one batch
UNITS = 5


@dataclass(frozen=True, slots=True)
class Work:
    """An act without a service: what there is before, what is done, what is wrong afterwards.

    begin is given a template: a key manager with a backup, in `home` and `backups`, what was told there in
    `notes`, and its store as it was at the backup in `earlier.db`.
    """

    begin: Callable[[Path, Path], None]  # folder, template
    play: Callable[[Path, Notes], None]  # folder, what it is told to
    judge: Callable[[Path, Sequence[Note]], Iterator[str]]  # folder, what was told


def perform(work: Work, folder: Path, notes: Path, build: str = "", failure: str = "") -> None:
    """Do the work in this process, and end it; build, failure: as for a scene."""
    told, code = begin(notes, build, failure), 0
    told.put("begun")
    try:
        work.play(folder, told)
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
    try:
        return [*work.judge(folder, read_notes(notes, until_ns))]
    except QekmError as error:
        return [f"nobody can go on: {error!r}"]


def _is_done(notes: Sequence[Note]) -> bool:
    return bool(named(notes, DONE))


def sync_tree(folder: Path) -> None:
    """Make everything in a folder, and the folder, durable."""
    for directory, _, files in os.walk(folder):
        for path in (*(Path(directory) / name for name in files), Path(directory)):
            handle = os.open(path, os.O_RDONLY)
            os.fsync(handle)
            os.close(handle)


# A store is written, as any service writes it.


def _written(folder: Path, _template: Path) -> None:
    create(folder)


def _write(folder: Path, told: Notes) -> None:
    """Commit a few units one after the other, with a move of the log into the file in between."""

    async def work() -> None:
        ended = asyncio.get_running_loop().create_future()
        store = Store.open(folder / "store" / "qekm.db", any_ring, anchor=folder / "anchor")
        store.start(SIGNER.sign, ended.set_result)
        for number in range(UNITS):
            key = make_key(number)
            await store.commit([key, make_record(key.alias)])
            told.put(MADE, key.alias)
        store.close()

    sabotage("hurried")
    asyncio.run(work())


def _kept(folder: Path, notes: Sequence[Note]) -> Iterator[str]:
    store = Store.open(folder / "store" / "qekm.db", any_ring, anchor=folder / "anchor")
    with closing(store):
        aliases = {key.alias for key in store.load().keys}
        told = [item.record.message for item in store.iterate_audit()]
        store.check_file()
    if store.behind:
        yield f"it is taken for an old copy: {store.behind}"
    if told != sorted(aliases):
        yield "a unit is there in part"
    yield from (f"key {alias} is lost" for alias in sorted(named(notes, MADE) - aliases))


# An older store is opened by this version.


def _old(folder: Path, _template: Path) -> None:
    (folder / "store").mkdir(parents=True)
    for name, place in (("qekm.db", "store/qekm.db"), ("root.key", "root.key")):
        shutil.copy(GOLDEN / "0.1.0" / name, folder / place)
        (folder / place).chmod(0o600)


def _open(folder: Path) -> Store:
    return Store.open(folder / "store" / "qekm.db", unlock(KeyFileSealer(folder / "root.key")))


def _migrate(folder: Path, _told: Notes) -> None:
    _open(folder).close()


def _migrated(folder: Path, _notes: Sequence[Note]) -> Iterator[str]:
    expected = json.loads((GOLDEN / "0.1.0" / "expected.json").read_text())
    with closing(_open(folder)) as store:
        found = describe(store)
    yield from (f"{name} is not what it was" for name in expected if found[name] != expected[name])


# A key manager is made.


def _nothing(folder: Path, _template: Path) -> None:
    folder.mkdir(parents=True)


def _init(folder: Path, _told: Notes | None = None) -> None:
    make(Home(folder / "home"), Wanted(keys=KEYS, properties={"keystore.protect": "none"}), now_us)


def _initialised(folder: Path, notes: Sequence[Note]) -> Iterator[str]:
    home = Home(folder / "home")
    if _is_there(home, _is_done(notes), lambda: _init(folder)):
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


def _restore(folder: Path, _told: Notes | None = None) -> None:
    sealer = KeyFileSealer(folder / "home" / "root.key")
    _restorer(folder, folder / "new").onto_nothing(lambda cover: root_of(cover, sealer))


def _restored(folder: Path, notes: Sequence[Note]) -> Iterator[str]:
    home = Home(folder / "new")
    if _is_there(home, _is_done(notes), lambda: _restore(folder)):
        yield from flaws(home, read_notes(folder / "notes"), epoch=2)


def _replace(folder: Path, _told: Notes) -> None:
    home = Home(folder / "home")
    replace_store(_restorer(folder, home.path), Settings.load(home.config), KeyFileSealer(home.root_key))


def _replaced(folder: Path, notes: Sequence[Note]) -> Iterator[str]:
    home = Home(folder / "home")
    finish(home)
    with Store.looked_at(home.store) as store:
        epoch = store.load().settings["keystore.epoch"]
    if _is_done(notes) and epoch == "1":
        yield "the store was replaced, and is the one before"
    yield from flaws(home, read_notes(folder / "notes"), epoch=int(epoch))


# An old copy is made the present one.


def _put_back(folder: Path, template: Path) -> None:
    _backed_up(folder, template)
    shutil.copy(folder / "earlier.db", folder / "home" / "store" / "qekm.db")


def _adopt(folder: Path, _told: Notes | None = None) -> None:
    home = Home(folder / "home")
    adopt(home, Settings.load(home.config), KeyFileSealer(home.root_key), now_us)


def _adopted(folder: Path, notes: Sequence[Note]) -> Iterator[str]:
    home = Home(folder / "home")
    with closing(Store.open(home.store, unlock(KeyFileSealer(home.root_key)), anchor=home.anchor)) as store:
        behind = store.behind
    if behind and _is_done(notes):
        yield f"an old copy was adopted, and is one: {behind}"
    elif behind:
        _adopt(folder)
    yield from flaws(home, read_notes(folder / "notes"), epoch=2)


WORKS = {
    "write": Work(_written, _write, _kept),
    "migrate": Work(_old, _migrate, _migrated),
    "init": Work(_nothing, _init, _initialised),
    "restore": Work(_backed_up, _restore, _restored),
    "replace": Work(_backed_up, _replace, _replaced),
    "adopt": Work(_put_back, _adopt, _adopted),
}
