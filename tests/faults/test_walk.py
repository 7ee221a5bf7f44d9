"""Two hundred things in any order: a cartridge is always read with the key that it was written with."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from qekm_gateway.simulator.oracle import recorder
from tests.faults.acts import PROTECTED
from tests.faults.report import Report
from tests.faults.site import working
from tests.faults.sizes import SEED, SIZES
from tests.faults.verdict import Verdict, judge
from tests.faults.walking import Walk

RIG = "random walk"


def walked(folder: Path, take: Callable[[Walk], None], build: str = "") -> tuple[Walk, Verdict]:
    """Walk as `take` has it; return where it ended, and what the books of the drives say."""
    (folder / "backups").mkdir()
    with working(folder, keys=64, build=build, **PROTECTED) as site:  # type: ignore[arg-type]
        for drive, book in zip(site.drives, site.books, strict=True):
            drive.record = recorder(book)
        walk = Walk(site, random.Random(SEED))
        walk.back_up()
        take(walk)
        site.estate.close()
        return walk, judge(site.estate.home, site.books)


@pytest.mark.slow
def test_whatever_happens_every_cartridge_can_be_read(tmp_path: Path, report: Report) -> None:
    begun = time.monotonic()
    walk, verdict = walked(tmp_path, lambda walk: walk.walk(SIZES.steps))
    done = ", ".join(f"{count} {name}" for name, count in walk.counts.most_common())
    print(f"{SIZES.steps} steps in {time.monotonic() - begun:.0f} s: {done};", verdict)
    report.tried(RIG, f"steps; {verdict.keys} keys in the books", SIZES.steps, lost=len(verdict.flaws))
    assert verdict.flaws == []


@pytest.mark.slow
def test_a_service_that_forgets_is_caught(tmp_path: Path, report: Report) -> None:
    def take(walk: Walk) -> None:
        for step in (walk.write, walk.break_off, walk.restart, walk.write, walk.write, walk.write):
            step()

    _, verdict = walked(tmp_path, take, "forgetful")
    print("forgetful:", verdict.flaws)
    report.control(RIG, "forgetful", caught=bool(verdict.flaws))
    assert verdict.flaws
