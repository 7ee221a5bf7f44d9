"""Damage to what lasts: every flipped bit is noticed, or changes nothing that anybody can read."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from qekm.home import Home
from qekm.v1.keystore_pb2 import GetKeystoreRequest
from tests.faults import scene
from tests.faults.flipping import Look, Tally, cut, damage, flip, pick
from tests.faults.forging import forge
from tests.faults.reading import look
from tests.faults.report import Report
from tests.faults.sizes import SEED, SIZES
from tests.faults.small import make_small
from tests.faults.unpacking import (
    BACKUP,
    EXPORT,
    look_carelessly,
    look_into,
    look_into_export,
    look_into_export_carelessly,
    make_export,
)
from tests.system.processes import Estate

RIG, FORGED = "bit flips", "forgeries"
CONTROL, ROUNDS = 150, 10  # flips that show a broken build; rounds, for what they meet is chance
STORE = "store/qekm.db"
# Of the flips of a run; of a file that has fewer bits every one is flipped.
SHARES = {STORE: 0.5, BACKUP: 0.25, EXPORT: 0.25, "anchor": 0.15, "root.key": 0.15}
PIECE, BLANK = 64, 10_000  # bytes; bits of pieces in which nothing is written


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Have a small key manager that does not run; `earlier.db` beside it is its store of another time."""
    return asyncio.run(make_small(tmp_path_factory.mktemp("small") / "home"))


@pytest.fixture(scope="module")
def packed(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Have a folder with a backup, the key file that opens it, and an export."""
    folder = tmp_path_factory.mktemp("packed")
    shutil.copy(max((template / "backups").glob("*.qbk"), key=os.path.getsize), folder / BACKUP)
    shutil.copy(template / "home" / "root.key", folder)
    process = scene.start(make_export, folder)
    process.join()
    assert process.exitcode == 0
    return folder


def bits_of(path: Path, most: int) -> Sequence[int]:
    """Return which bits are flipped: so many, nine of ten where something is written, or everywhere.

    Everywhere is without most of those pieces of a file in which nothing was ever written: they are most of a
    store, and its every bit takes a day.
    """
    content, dice = path.read_bytes(), random.Random(SEED)
    every = range(8 * len(content))
    if 0 < most < len(every):
        written = [8 * place + bit for place, byte in enumerate(content) if byte for bit in range(8)]
        chosen = dice.sample(written, min(len(written), most * 9 // 10)), dice.sample(every, most // 10)
        return sorted({*chosen[0], *chosen[1]})
    pieces = [every[start : start + 8 * PIECE] for start in range(0, len(every), 8 * PIECE)]
    blank = [bit for piece in pieces if not any(content[piece[0] // 8 :][:PIECE]) for bit in piece]
    return sorted({*every} - {*dice.sample(blank, max(0, len(blank) - BLANK))})


def told(report: Report, rig: str, what: str, tried: int, tally: Tally) -> Tally:
    """Print and record what came of attempts."""
    print(f"{what}: {tried:,} times; {tally}")
    counts = {"detected": tally.detected, "benign": tally.benign, "lost": len(tally.missed)}
    report.tried(rig, what, tried, **counts)
    return tally


def blind(folder: Path, file: str, look_at: Look, build: str = "") -> Tally:
    """Flip bits of a file, round after round, until a build takes something else for what was written."""
    bits = bits_of(folder / file, ROUNDS * CONTROL)
    for start in range(ROUNDS):
        tally = damage(folder, file, look_at, flip, bits[start::ROUNDS], build)
        print(f"{file}, round {start + 1}: {tally}")
        if tally.missed:
            break
    return tally


def test_everywhere_is_every_bit_but_for_some_where_nothing_is_written(tmp_path: Path) -> None:
    file, first, last = tmp_path / "file", b"head" + bytes(PIECE - 4), b"\0last"
    file.write_bytes(first + bytes(10 * PIECE) + last)
    assert bits_of(file, 0) == [*range(8 * (11 * PIECE + len(last)))]
    file.write_bytes(first + bytes(400 * PIECE) + last)
    bits, begins = bits_of(file, 0), 8 * 401 * PIECE
    assert {*range(8 * PIECE), *range(begins, begins + 8 * len(last))} <= {*bits}
    assert len(bits) == 8 * PIECE + BLANK + 8 * len(last)


@pytest.mark.slow
@pytest.mark.parametrize("file", [STORE, "anchor", "root.key"])
def test_a_flipped_bit_is_noticed_or_changes_nothing(home: Home, file: str, report: Report) -> None:
    bits = bits_of(home.path / file, round(SIZES.flips * SHARES[file]))
    what = f"bits of {file}, which has {8 * (home.path / file).stat().st_size:,}"
    assert told(report, RIG, what, len(bits), damage(home.path, file, look, flip, bits)).missed == []


def test_a_build_that_believes_its_rows_is_caught(home: Home, report: Report) -> None:
    caught = bool(blind(home.path, STORE, look, "unverified").missed)
    report.control(RIG, "no MACs, no root", caught)
    assert caught


@pytest.mark.slow
@pytest.mark.parametrize(("file", "look_at"), [(BACKUP, look_into), (EXPORT, look_into_export)])
def test_a_flipped_bit_of_what_leaves_the_house_is_noticed(
    packed: Path, file: str, look_at: Look, report: Report
) -> None:
    bits = bits_of(packed / file, round(SIZES.flips * SHARES[file]))
    what = f"bits of {file}, which has {8 * (packed / file).stat().st_size:,}"
    assert told(report, RIG, what, len(bits), damage(packed, file, look_at, flip, bits)).missed == []


@pytest.mark.parametrize(
    ("file", "careless"), [(BACKUP, look_carelessly), (EXPORT, look_into_export_carelessly)]
)
def test_a_build_that_forgets_the_tag_is_caught(
    packed: Path, file: str, careless: Look, report: Report
) -> None:
    caught = bool(blind(packed, file, careless).missed)
    report.control(RIG, f"{file} without its tags", caught)
    assert caught


@pytest.mark.slow
@pytest.mark.parametrize(("file", "look_at"), [(BACKUP, look_into), (EXPORT, look_into_export)])
def test_a_backup_or_an_export_that_is_cut_off_is_noticed(
    packed: Path, file: str, look_at: Look, report: Report
) -> None:
    size = (packed / file).stat().st_size
    sizes = sorted({*range(0, size, 4_096), *random.Random(SEED).sample(range(size), min(size, 60))})
    what = f"{file} cut off: at every page, and at random"
    assert told(report, FORGED, what, len(sizes), damage(packed, file, look_at, cut, sizes)).missed == []


@pytest.mark.slow
@pytest.mark.parametrize("file", [STORE, "anchor", "root.key"])
def test_a_file_that_is_cut_off_is_noticed_or_tells_the_same(home: Home, file: str, report: Report) -> None:
    size = (home.path / file).stat().st_size
    sizes = sorted({*range(0, size, 4_096), *random.Random(SEED).sample(range(size), min(size, 60))})
    what = f"{file} cut off: at every page, and at random"
    assert told(report, FORGED, what, len(sizes), damage(home.path, file, look, cut, sizes)).missed == []


@pytest.mark.slow
def test_rows_and_pages_of_another_place_or_time_are_noticed(
    home: Home, tmp_path: Path, report: Report
) -> None:
    count = forge(home.store, home.path.with_name("earlier.db"), tmp_path, random.Random(SEED))
    numbers = range(count)
    tally = damage(home.path, STORE, look, partial(pick, tmp_path), numbers)
    told(report, FORGED, "rows and pages swapped, put back, taken away; the old store", count, tally)
    some = [*numbers[:-1:8], numbers[-1]]
    rootless = damage(home.path, STORE, look, partial(pick, tmp_path), some, "rootless")
    print("rootless:", rootless)
    report.control(FORGED, "no root", caught=bool(rootless.missed))
    assert tally.missed == []
    assert rootless.missed


def test_an_old_store_with_its_own_old_anchor_is_told_by_a_backup(
    template: Path, tmp_path: Path, report: Report
) -> None:
    """Whoever put both back cannot have the backup forget what it saw: the service is read only."""
    told_why = {}
    for witnesses in (True, False):
        folder = tmp_path / f"{witnesses}"
        shutil.copytree(template, folder)
        shutil.copy(folder / "earliest.db", folder / "home" / STORE)
        shutil.copy(folder / "earliest.anchor", folder / "home" / "anchor")
        if not witnesses:
            shutil.rmtree(folder / "backups")
        estate = Estate(folder / "home")
        try:
            with estate.start(gateway=False).client() as client:
                told_why[witnesses] = client.keystore.GetKeystore(GetKeystoreRequest()).read_only
        finally:
            estate.close()
    print(told_why)
    report.tried(
        FORGED, "an old store and its anchor put back", 1, detected=1, lost=0 if told_why[True] else 1
    )
    report.control(FORGED, "no backup as a witness", caught=not told_why[False])
    assert "a backup has seen" in told_why[True]
    assert told_why[False] == ""
