"""The power goes while two drives work: every key that a drive has is on the disk, and never given again.

The whole home lies on a disk that forgets what was not flushed, the drives' books lie elsewhere. After the
cut the key manager is started on what is left, and the drives go on where they were.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from qekm.home import Home
from tests.faults.offline import sync_tree
from tests.faults.powercut.rig import VolatileDisk
from tests.faults.report import Report
from tests.faults.site import at_work, explained, wait_for_exchanges, working
from tests.faults.sizes import SEED, SIZES
from tests.faults.verdict import Verdict, judge
from tests.faults.worker import READ_EVERY
from tests.system.processes import Estate

pytestmark = pytest.mark.root
MakeDisk = Callable[[], VolatileDisk]
CUTS = max(4, SIZES.cuts // 10)
LOST = READ_EVERY  # exchanges: as many new keys for each drive, none of them read back yet
RIG = "power cut"


def cut_at_work(disk: VolatileDisk, build: str, seconds: float) -> tuple[Verdict, Verdict]:
    """Cut the power of a working key manager; judge what is left, and again after drives went on with it.

    Of a broken build what was there before the drives began is made durable, so that they can go on; then the
    power goes just after both were given new keys.
    """
    folder = disk.mount.parent
    with working(folder, keys=256, home=disk.mount / "home", build=build) as site:
        recovered = Estate(disk.after / "home")
        if build:
            sync_tree(disk.mount)
        try:
            with explained(recovered), at_work(site) as workers:
                wait_for_exchanges(workers, LOST if build else 1)
                time.sleep(seconds)
                disk.cut()
                site.estate.close()
                left = judge(recovered.home, site.books)
                recovered.start()
                wait_for_exchanges(workers, 10)
        finally:
            recovered.close()
        return left, judge(recovered.home, site.books)


@pytest.mark.slow
def test_power_cuts_lose_no_key_and_give_none_twice(make_disk: MakeDisk, report: Report) -> None:
    dice = random.Random(SEED)
    for number in range(1, CUTS + 1):
        with make_disk() as disk:
            left, after = cut_at_work(disk, "", dice.uniform(0, 0.8))
        print(f"power cut {number}:", left, "; and after the drives went on:", after)
        report.tried(RIG, "under a real service, which goes on", 1, lost=len(left.flaws + after.flaws))
        assert left.flaws == []
        assert after.flaws == []
        assert after.keys >= left.keys + 10


@pytest.mark.slow
@pytest.mark.parametrize("build", ["early", "unsynced"])
def test_a_service_that_answers_before_it_is_durable_is_caught(
    make_disk: MakeDisk, build: str, report: Report
) -> None:
    for number in range(1, 4):
        with make_disk() as disk:
            left, after = cut_at_work(disk, build, 0)
            print(f"{build}, cut {number}:", left, "; and after the drives went on:", after)
            if left.flaws and after.flaws:
                return report.control(RIG, f"real service, {build}", caught=True)
    report.control(RIG, f"real service, {build}", caught=False)
    pytest.fail("a broken service looked like an honest one")


def test_a_key_manager_is_there_when_the_power_goes_right_after_it_was_made(make_disk: MakeDisk) -> None:
    with make_disk() as disk:
        Estate.make(disk.mount / "home", keys=32)
        disk.cut()
        recovered = Estate(disk.after / "home")
        try:
            recovered.start()
            recovered.wait_gateway()
        finally:
            recovered.close()
        assert judge(Home(disk.after / "home"), []).flaws == []
