"""Something is played on a disk that has everything on tape; then the power is cut at moments of the tape."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from qekm.home import Home
from qekm.store import Store
from tests.faults import offline, scene
from tests.faults.acts import ACTS, lay
from tests.faults.evidence import flaws
from tests.faults.offline import WORKS
from tests.faults.powercut.rig import MEGABYTE, VolatileDisk
from tests.faults.powercut.tape import Disk, mounted
from tests.faults.told import BACKED, named, read_notes

PATIENCE_S = 120.0
SIZE = 32 * MEGABYTE


class Played(NamedTuple):
    """What is played while the tape runs: an act of so many rounds or a work, with this build.

    away: the home is elsewhere, and only the backups are on the disk.
    """

    name: str
    rounds: int = 0
    build: str = ""
    away: bool = False


def played(what: Played, folder: Path, template: Path) -> tuple[Disk, int]:
    """Play it on a new disk; return what the disk's tape says, and the time when the playing began."""
    with VolatileDisk(folder / "volume", SIZE, taped=True) as disk:
        place, notes = disk.mount / "place", folder / "notes"
        if what.name in ACTS:
            if what.away:
                (place / "backups").mkdir(parents=True)
                (folder / "backups").symlink_to(place / "backups")
                place = folder
            lay(what.name, place, template)
        else:
            WORKS[what.name].begin(place, template)
        offline.sync_tree(disk.mount)
        began_ns = time.monotonic_ns()
        if what.name in ACTS:
            act, _ = ACTS[what.name]
            process = scene.start(scene.perform, act, place / "home", notes, 0, what.rounds, what.build)
        else:
            process = scene.start(offline.perform, WORKS[what.name], place, notes, what.build)
        process.join(PATIENCE_S)
        assert process.exitcode == 0, notes.with_suffix(".out").read_text()
        disk.stop()
        assert disk.tape is not None
        return Disk(disk.tape, disk.size), began_ns


def moments(disk: Disk, began_ns: int, notes: Path, cuts: int, dice: random.Random) -> list[int]:
    """Return when the power goes: half of the times at random, half just after somebody was told."""
    told = [note.time_ns for note in read_notes(notes)]
    end_ns = max(disk.span_ns[1], *told)
    at_random = [dice.randrange(began_ns, end_ns) for _ in range(cuts - cuts // 2)]
    return sorted(at_random + [dice.choice(told) for _ in range(cuts // 2)])


def cut(what: Played, folder: Path, template: Path, cuts: int, seed: int) -> Iterator[str]:
    """Play it, cut the power so many times, and yield what is wrong after each."""
    folder.mkdir()
    dice, notes, image = random.Random(seed), folder / "notes", folder / "image"
    disk, began_ns = played(what, folder, template)
    for moment_ns in moments(disk, began_ns, notes, cuts, dice):
        disk.cut(moment_ns, image, dice)
        with mounted(image, folder / "after") as after:
            if what.away:
                found = _missing(folder / "home", after / "place" / "backups", notes, moment_ns)
            elif what.name in ACTS:
                found = flaws(Home(after / "place" / "home"), read_notes(notes, moment_ns))
            else:
                found = offline.judge(WORKS[what.name], after / "place", notes, moment_ns)
        yield from (f"{(moment_ns - began_ns) / 1e6:,.0f} ms after its beginning: {flaw}" for flaw in found)


def _missing(home: Path, backups: Path, notes: Path, moment_ns: int) -> list[str]:
    """Return which backups were verified and are not there, and which are there in part."""
    with Store.looked_at(Home(home).store) as store:
        made = {row.name: row.sha256 for row in store.load().backups}
    there = {path.name: sha256(path.read_bytes()).digest() for path in backups.glob("*.qbk")}
    told = named(read_notes(notes, moment_ns), BACKED)
    gone = [f"backup {name} was verified, and is not there" for name in sorted(told - there.keys())]
    # One that was called off between its name and its row is nobody's.
    other = [name for name in sorted(there.keys() & made.keys()) if there[name] != made[name]]
    return gone + [f"backup {name} is another" for name in other]
