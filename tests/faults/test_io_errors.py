"""Disks that are broken or full: the n-th write, sync or rename fails, for every n, whatever is going on.

What was told is kept, what failed is refused, and when the fault is gone everything goes on.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from qekm.backup.header import prefix_of
from qekm.home import Home
from qekm.store import Store
from tests.faults import offline, scene
from tests.faults.acts import ACTS, lay
from tests.faults.evidence import flaws
from tests.faults.offline import WORKS
from tests.faults.report import Report
from tests.faults.scene import FAILED, REFUSED
from tests.faults.site import at_work, wait_for_exchanges, working
from tests.faults.sizes import SIZES
from tests.faults.told import read_notes
from tests.faults.tracing import NAME, Failure, counted, fired, numbers, run
from tests.faults.verdict import judge

RIG = "I/O errors"
ERRORS = ("EIO", "ENOSPC")
PLAYED = ("allocate", "backup", "rotate", "destroy")  # of the acts; every work is played
ROUNDS = 1


def attempt(
    strace: str, name: str, failure: Failure | None, folder: Path, template: Path, build: str = ""
) -> tuple[str, list[str]]:
    """Play something where a call fails, and again without; return what came of it, and what is wrong."""
    folder.mkdir()
    notes, log = folder / "notes", folder / "log"
    if name in WORKS:
        place = folder / "place"
        WORKS[name].begin(place, template)
        code = run(strace, log, failure, (), offline.perform, WORKS[name], place, notes, build)
        found = offline.judge(WORKS[name], place, notes)
    else:
        code, found = _act(strace, name, failure, folder, template)
    if code not in (0, FAILED, REFUSED):
        found.append(f"the process ended with {code}: {notes.with_suffix('.out').read_text()[-2_000:]}")
    outcome = "refused" if code else "served" if fired(log) else "not reached"
    if failure:  # else somebody counts the calls; there are thousands of folders, and they lie in memory
        shutil.rmtree(folder)
    return outcome, [f"{name}, {failure}: {flaw}" for flaw in found]


def _act(
    strace: str, name: str, failure: Failure | None, folder: Path, template: Path
) -> tuple[int | None, list[str]]:
    act, _ = ACTS[name]
    home, notes = lay(name, folder, template), folder / "notes"
    arguments = (act, home.path, notes, 0, ROUNDS)
    code = run(strace, folder / "log", failure, _paths(home), scene.perform, *arguments)
    found = flaws(home, read_notes(notes))
    again = scene.start(scene.perform, act, home.path, notes, 1, 1)
    again.join()
    if again.exitcode:
        found.append(f"afterwards nothing works: {notes.with_suffix('.out').read_text()[-2_000:]}")
    return code, found + flaws(home, read_notes(notes))


def _paths(home: Home) -> list[Path]:
    """Return what a running service writes; the rest of its writes are its sockets'."""
    backups = home.path.parent / "backups"
    with Store.looked_at(home.store) as store:
        new = backups / f".{prefix_of(store.estate_id)}new-{bytes(NAME).hex()}"
    scratch = [home.run / f"backup-t{number}" for number in range(9)]
    return [
        *(home.store.with_name(home.store.name + ending) for ending in ("", "-wal", "-shm", "-journal")),
        home.store_directory,
        home.path,
        home.anchor,
        home.path / "tombstones",
        home.run,
        backups,
        new,
        backups / "tombstones",
        *(path / "copy.db" for path in scratch),
        *scratch,
    ]


def _failures(strace: str, name: str, folder: Path, template: Path) -> tuple[dict[str, int], list[Failure]]:
    """Play something without a failure; return how often each call is made, and which will fail."""
    outcome, found = attempt(strace, name, None, folder, template)
    assert (outcome, found) == ("not reached", []), found
    calls = counted(folder / "log")
    most = 0 if name == "write" else SIZES.calls
    failures = [
        Failure(call, error, number)
        for call, last in calls.items()
        for error in ERRORS
        for number in numbers(last, most)
    ]
    return calls, failures


@pytest.mark.slow
def test_whichever_call_fails_nothing_is_lost(
    memory: Path, template: Path, strace: str, report: Report
) -> None:
    begun, found = time.monotonic(), list[str]()
    with scene.pool() as pool:
        plans = {
            name: pool.submit(_failures, strace, name, memory / f"count-{name}", template)
            for name in (*WORKS, *PLAYED)
        }
        for name, plan in plans.items():
            calls, failures = plan.result()
            parts = [
                pool.submit(attempt, strace, name, failure, memory / f"{name}{number}", template)
                for number, failure in enumerate(failures)
            ]
            outcomes = Counter(part.result()[0] for part in parts)
            wrong = [flaw for part in parts for flaw in part.result()[1]]
            print(f"{name}: {calls}; {len(failures)} failures: {dict(outcomes)}; {wrong or 'nothing lost'}")
            what = f"in the middle of: {name}; {outcomes['refused']} refused, {outcomes['served']} overcome"
            report.tried(RIG, what, outcomes["refused"] + outcomes["served"], lost=len(wrong))
            found += wrong
    print(f"all in {time.monotonic() - begun:.0f} s")
    assert found == []
    assert {path.name for path in memory.iterdir()} == {f"count-{name}" for name in plans}


def test_a_build_that_takes_no_notice_is_caught(
    memory: Path, template: Path, strace: str, report: Report
) -> None:
    _, failures = _failures(strace, "write", memory / "count", template)
    found: list[str] = []
    for number, failure in enumerate(failures[::7]):
        found = attempt(strace, "write", failure, memory / str(number), template, "deaf")[1]
        if found:
            break
    print(f"deaf: {found}")
    report.control(RIG, "takes no notice", caught=bool(found))
    assert found


@pytest.mark.slow
def test_a_real_service_whose_disk_fails_ends_and_recovers(
    tmp_path: Path, strace: str, report: Report
) -> None:
    """Drives work all the time; each failure ends the service by itself, and its next start goes on."""
    names = {"store": "store/qekm.db", "log": "store/qekm.db-wal", "anchor": "anchor"}
    failures = [
        ("log", Failure("fdatasync", "EIO", 3)),
        ("log", Failure("pwrite64", "ENOSPC", 20)),
        ("anchor", Failure("pwrite64", "EIO", 5)),
        ("anchor", Failure("fdatasync", "EIO", 1)),
    ]
    with working(tmp_path, keys=512) as site, at_work(site) as workers:
        for name, failure in failures:
            wait_for_exchanges(workers, 3)
            server = site.estate.server
            assert server is not None
            inject = f"inject={failure.call}:error={failure.error}:when={failure.number}"
            place = str(site.estate.home.path / names[name])
            command = [strace, "-f", "-qq", "-o", "/dev/null", "-p", str(server.pid), "-P", place]
            with subprocess.Popen([*command, "-e", f"trace={failure.call}", "-e", inject]) as tracer:
                assert server.wait(60) not in (0, -9), f"{name}, {failure}"
                tracer.wait(60)
            site.estate.start()
        wait_for_exchanges(workers, 3)
        site.estate.close()
    verdict = judge(site.estate.home, site.books)
    print(f"{len(failures)} failures of a real service's disk:", verdict)
    report.tried(RIG, "under a real service and gateway", len(failures), lost=len(verdict.flaws))
    assert verdict.flaws == []
