"""Every named place where the program can fail, in every way: nothing is lost, the next start goes on."""

from __future__ import annotations

import random
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from itertools import product
from pathlib import Path

import pytest

import qekm
from qekm.failpoints import NAMES
from tests.faults import offline, scene
from tests.faults.acts import ACTS, lay
from tests.faults.evidence import flaws
from tests.faults.offline import WORKS
from tests.faults.report import Report
from tests.faults.scene import FAILED, REFUSED
from tests.faults.sizes import SEED
from tests.faults.told import REACHED, named, read_notes

RIG = "failpoints"
ACTIONS = ("exit", "eio", "enospc", "delay")
PATIENCE_S = 120.0
# What reaches a place: an act or a work, and the build that gets there soon.
REACHED_BY: Mapping[str, tuple[str, ...]] = {
    "commit.before": ("allocate",),
    "commit.after": ("allocate",),
    "anchor.after": ("allocate",),
    "checkpoint.before": ("allocate",),
    "checkpoint.after": ("allocate",),
    "peer.before": ("allocate",),
    "peer.after": ("allocate",),
    "answer.before": ("allocate",),
    "backup.before": ("backup",),
    "backup.written": ("backup",),
    "backup.renamed": ("backup",),
    "backup.verified": ("backup",),
    "ready.before": ("backup",),
    "rotate.batch": ("rotate",),
    "restore.installing": ("init", "restore", "replace"),
    "restore.installed": ("init", "restore", "replace"),
    "migrate.copied": ("migrate",),
    "migrate.installing": ("migrate",),
    "destroy.before": ("destroy",),
    "export.before": ("exchange",),
    "import.before": ("exchange",),
}
OFTEN = ("commit", "anchor", "answer")  # passed many times in a round: which time fails is a throw of dice
BUILDS = {"checkpoint": "hurried", "peer": "witnessed"}  # in which a place is reached at all, or soon
# What may lie in a folder when all is over; everything else was half made.
WHOLE = (
    "*KeyManagerConfig.properties*",  # a client's as well
    "*/keymanager/audit/kms_audit.log",
    "*/root.key*",
    "*/anchor",
    "*/tombstones",
    "*/pki*/*.pem",
    "*/pki*/*.key",
    "*/store*/qekm.db",
    "*/store*/qekm.db-wal",
    "*/store*/qekm.db-shm",
    "*/store/qekm.db.0001",
    "*/store*/lock",
    "*/run/server.json",
    "*/backups/*.qbk",
    "*/earlie*.db",
    "*/earliest.anchor",
    "*/notes",
    "*/notes.out",
)
# A service makes a backup by itself, too, which ends with it: the next backup takes away what that left.
LEFT_TO_THE_NEXT = ("*/backups/.*new-*",)


def test_every_place_in_the_code_is_named_and_every_name_is_a_place() -> None:
    sources = Path(qekm.__file__).parent.rglob("*.py")
    found = {name for path in sources for name in re.findall(r'failpoint\("([^"]+)"\)', path.read_text())}
    assert found == {*NAMES}


def test_every_name_has_something_that_reaches_it() -> None:
    assert REACHED_BY.keys() == {*NAMES}


def fail(name: str, action: str, by: str, folder: Path, template: Path) -> list[str]:
    """Have a place fail once in an act, and the act played again; return what is wrong."""
    folder.mkdir()
    dice = random.Random(f"{SEED} {name} {action} {by}")
    often = 1 if name.partition(".")[0] not in OFTEN else dice.randrange(2, 16)
    failure = f"{name}={action}" + (f"@{often}" if action != "delay" else "")
    played = _act if by in ACTS else _work
    return [f"{failure}, {by}: {flaw}" for flaw in played(name, action, failure, by, folder, template)]


def _act(name: str, action: str, failure: str, by: str, folder: Path, template: Path) -> Iterator[str]:
    act, _ = ACTS[by]
    home, notes = lay(by, folder, template), folder / "notes"
    build = BUILDS.get(name.partition(".")[0], "")
    process = scene.start(scene.perform, act, home.path, notes, 0, 2, build, failure)
    process.join(PATIENCE_S)
    yield from _ended(process.exitcode, action, name, notes)
    yield from flaws(home, read_notes(notes))
    again = scene.start(scene.perform, act, home.path, notes, 1, 1)
    again.join(PATIENCE_S)
    if again.exitcode:
        yield f"after it nothing works: {_said(notes)}"
    yield from flaws(home, read_notes(notes))
    yield from _half_made(folder, () if by == "backup" else LEFT_TO_THE_NEXT)


def _work(name: str, action: str, failure: str, by: str, folder: Path, template: Path) -> Iterator[str]:
    work, place, notes = WORKS[by], folder / "place", folder / "notes"
    work.begin(place, template)
    process = scene.start(offline.perform, work, place, notes, "", failure)
    process.join(PATIENCE_S)
    yield from _ended(process.exitcode, action, name, notes)
    yield from offline.judge(work, place, notes)
    yield from _half_made(place)


def _ended(code: int | None, action: str, name: str, notes: Path) -> Iterator[str]:
    """Yield if the place was not reached, or the process did not end as it should."""
    if name not in named(read_notes(notes), REACHED):
        yield f"it was not reached; the process ended with {code}: {_said(notes)}"
    expected = {"exit": {-9}, "delay": {0}}.get(action, {0, FAILED, REFUSED})
    if code not in expected:
        yield f"the process ended with {code}: {_said(notes)}"


def _said(notes: Path) -> str:
    return notes.with_suffix(".out").read_text()[-2_000:]


def _half_made(folder: Path, also: Sequence[str] = ()) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() and not any(fnmatch(str(path), pattern) for pattern in (*WHOLE, *also)):
            yield f"{path.relative_to(folder)} is left"


@pytest.mark.slow
def test_whatever_fails_nothing_is_lost_and_the_next_start_goes_on(
    memory: Path, template: Path, report: Report
) -> None:
    begun = time.monotonic()
    attempts = [(name, action, by) for name, action in product(NAMES, ACTIONS) for by in REACHED_BY[name]]
    with scene.pool() as pool:
        parts = [
            pool.submit(fail, *attempt, memory / str(number), template)
            for number, attempt in enumerate(attempts)
        ]
    found = [flaw for part in parts for flaw in part.result()]
    print(f"{len(attempts)} failures at {len(NAMES)} places in {time.monotonic() - begun:.0f} s: {found}")
    report.tried(RIG, f"{len(NAMES)} places, every {', '.join(ACTIONS)}", len(attempts), lost=len(found))
    assert found == []


def test_a_build_that_tells_too_early_is_caught(memory: Path, template: Path, report: Report) -> None:
    """It answers, and the process ends before the commit."""
    found: list[str] = []
    for number in range(20):
        folder = memory / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        home = lay("allocate", folder, template)
        arguments = (
            ACTS["allocate"][0],
            home.path,
            folder / "notes",
            0,
            2,
            "early",
            f"commit.before=exit@{number + 2}",
        )
        scene.start(scene.perform, *arguments).join(PATIENCE_S)
        found = flaws(home, read_notes(folder / "notes"))
        if found:
            break
    print(f"early, commit.before: {found}")
    report.control(RIG, "early", caught=bool(found))
    assert found
