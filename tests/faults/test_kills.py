"""kill -9 in the middle of every act of a key manager: nothing that anybody was told is lost or undone."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

from tests.faults import offline, scene
from tests.faults.acts import ACTS, lay
from tests.faults.evidence import flaws
from tests.faults.offline import WORKS
from tests.faults.report import Report
from tests.faults.sizes import SEED, SIZES
from tests.faults.told import DONE, read_notes

RIG = "kill -9"
SHARES = dict.fromkeys((*ACTS, *WORKS), 1.0) | {"allocate": 2.0}
LONGEST_S = {"backup": 2.0}  # how long after it was first heard of; of the others a quarter of a second
SAME = 10  # kills of one home; then a new one, for the judge's work grows with what is in it
PATIENCE_S = 60.0


def heard(notes: Path) -> int:
    """Return how much was noted."""
    return notes.stat().st_size if notes.exists() else 0


def kill(process: ForkServerProcess, notes: Path, before: int, seconds: float) -> None:
    """Kill a process, so long after something new is heard of it."""
    deadline = time.monotonic() + PATIENCE_S
    while process.is_alive() and heard(notes) <= before:
        assert time.monotonic() < deadline, "nothing is heard of the process"
        time.sleep(0.002)
    time.sleep(seconds)
    process.kill()
    process.join()


def kill_scenes(
    name: str, folder: Path, kills: int, dice: random.Random, template: Path, build: str = ""
) -> Iterator[str]:
    """Kill an act on one home again and again; yield what is wrong after each."""
    act, _ = ACTS[name]
    home, notes = lay(name, folder, template), folder / "notes"
    for number in range(kills):
        before = heard(notes)
        process = scene.start(scene.perform, act, home.path, notes, number, 0, build)
        kill(process, notes, before, dice.uniform(0, LONGEST_S.get(name, 0.25)))
        if process.exitcode != -9:
            said = notes.with_suffix(".out").read_text()[-3_000:]
            yield f"it ended by itself with {process.exitcode}: {said}"
        yield from flaws(home, read_notes(notes))
    # There are hundreds of them, in memory; a child that proves a backup may outlive its service.
    shutil.rmtree(folder, ignore_errors=True)


def kill_works(name: str, folder: Path, kills: int, dice: random.Random, template: Path) -> Iterator[str]:
    """Kill an act without a service, each time with a new beginning; yield what is wrong after each."""
    work, longest_s = WORKS[name], 0.0
    for number in range(kills + 1):
        place, notes = folder / str(number) / "place", folder / str(number) / "notes"
        place.parent.mkdir(parents=True)
        work.begin(place, template)
        begun = time.monotonic()
        process = scene.start(offline.perform, work, place, notes)
        if number == 0:  # how long does it take?
            process.join(PATIENCE_S)
            longest_s = time.monotonic() - begun
            assert any(note.kind == DONE for note in read_notes(notes)), notes.with_suffix(".out").read_text()
        else:
            kill(process, notes, 0, dice.uniform(0, longest_s))
        yield from offline.judge(work, place, notes)
        shutil.rmtree(place.parent)


def chains(name: str) -> list[int]:
    """Return how often each home of an act is killed."""
    kills = max(SAME, round(SIZES.kills * SHARES[name] / sum(SHARES.values())))
    return [min(SAME, kills - start) for start in range(0, kills, SAME)]


@pytest.mark.slow
def test_a_kill_in_the_middle_of_anything_loses_nothing(memory: Path, template: Path, report: Report) -> None:
    begun = time.monotonic()
    with scene.pool() as pool:
        parts = [
            (
                name,
                kills,
                pool.submit(_killed, name, memory / f"{name}{place}", kills, SEED + place, template),
            )
            for name in SHARES
            for place, kills in enumerate(chains(name))
        ]
    found = {
        name: [flaw for each, _, part in parts if each == name for flaw in part.result()] for name in SHARES
    }
    for name in SHARES:
        kills = sum(kills for each, kills, _ in parts if each == name)
        report.tried(RIG, f"of a service in the middle of: {name}", kills, lost=len(found[name]))
    print(f"{sum(kills for _, kills, _ in parts)} kills in {time.monotonic() - begun:.0f} s: {found}")
    assert not any(found.values()), found


def _killed(name: str, folder: Path, kills: int, seed: int, template: Path) -> list[str]:
    dice = random.Random(seed)
    if name in ACTS:
        return [*kill_scenes(name, folder, kills, dice, template)]
    return [*kill_works(name, folder, kills, dice, template)]


@pytest.mark.parametrize("build", ["early", "forgetful"])
def test_a_service_that_gives_a_key_twice_is_caught(
    memory: Path, template: Path, build: str, report: Report
) -> None:
    scenes = kill_scenes("allocate", memory / "folder", 100, random.Random(SEED), template, build)
    found = next(scenes, "")
    print(f"{build}: {found}")
    report.control(RIG, build, caught=bool(found))
    assert found
