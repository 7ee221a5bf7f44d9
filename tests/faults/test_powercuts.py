"""The power goes in the middle of everything that is ever written: what was told before is there afterwards.

Each path is played once on a disk that has everything on tape; then the power is cut at many moments of the
tape, and what the disk would hold is mounted and judged.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.faults import scene
from tests.faults.cutting import Played, cut
from tests.faults.report import Report
from tests.faults.sizes import SEED, SIZES

pytestmark = pytest.mark.root
RIG = "power cut"
TRIES = 3  # of a broken build: the file system syncs by itself every five seconds, perhaps just then

PATHS = {
    "commit": Played("allocate", 10),
    "checkpoint": Played("allocate", 6, "hurried"),
    "anchor, at the first start": Played("generate", 1),
    "backup": Played("backup", 2),
    "backup, on a disk of its own": Played("backup", 3, away=True),
    "rotation": Played("rotate", 2),
    "tombstones": Played("destroy", 3),
    "init": Played("init"),
    "migration": Played("migrate"),
    "restore onto nothing": Played("restore"),
    "restore in place": Played("replace"),
    "adoption": Played("adopt"),
}
# What a process must not forget to sync, path by path, and what is found then; SQLite syncs what is SQLite's.
BROKEN = {
    "commit, synchronous=NORMAL": (Played("allocate", 10, "unsynced"), "a drive has it"),
    "anchor, no fsync": (Played("generate", 1, "unflushed"), "anchor"),
    "backup, no fsync": (Played("backup", 3, "unflushed", away=True), "backup"),
    "init, no fsync": (Played("init", 0, "unflushed"), "there is no key manager"),
    "restore, no fsync": (Played("restore", 0, "unflushed"), "there is no key manager"),
}


def _all(what: Played, folder: Path, template: Path, cuts: int, seed: int) -> list[str]:
    return [*cut(what, folder, template, cuts, seed)]


@pytest.mark.slow
@pytest.mark.usefixtures("make_disk")
def test_a_power_cut_in_the_middle_of_anything_loses_nothing(
    memory: Path, template: Path, report: Report
) -> None:
    begun = time.monotonic()
    with scene.pool() as pool:
        parts = {
            name: pool.submit(_all, what, memory / f"path{number}", template, SIZES.cuts, SEED + number)
            for number, (name, what) in enumerate(PATHS.items())
        }
    found = {name: part.result() for name, part in parts.items()}
    for name, flaws_ in found.items():
        report.tried(RIG, f"in the middle of: {name}", SIZES.cuts, lost=len(flaws_))
    print(f"{SIZES.cuts * len(PATHS)} power cuts in {time.monotonic() - begun:.0f} s: {found}")
    assert not any(found.values()), found


@pytest.mark.slow
@pytest.mark.usefixtures("make_disk")
@pytest.mark.parametrize("name", BROKEN)
def test_a_build_that_tells_of_what_is_not_durable_is_caught(
    memory: Path, template: Path, name: str, report: Report
) -> None:
    what, expected = BROKEN[name]
    for number in range(TRIES):
        flaws = cut(what, memory / f"broken{number}", template, 60, SEED + number)
        found = next((flaw for flaw in flaws if expected in flaw), "")
        print(f"{name}: {found}")
        if found:
            break
    report.control(RIG, name, caught=bool(found))
    assert found
