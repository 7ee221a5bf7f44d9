"""kill -9 of the service and of the gateway at any moment: no key is lost, none is given to two cartridges.

Two drives work all the time, each with a book of its own; what the key manager's disk holds afterwards is
judged by these books. The same judge must see what is wrong with a service that is broken on purpose.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from qekm.clock import now_us
from qekm.dkp.codes import Ask
from qekm.store import Store
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.errand import Errand, Refused
from qekm_gateway.simulator.link import Connection, NoAnswer, Server
from tests.faults.report import Report
from tests.faults.site import Site, at_work, wait_for_exchanges, working
from tests.faults.sizes import SEED, SIZES
from tests.faults.verdict import Verdict, judge
from tests.faults.worker import Worker
from tests.system.processes import Estate

EXCHANGES = 1_000
RIG = "kill -9"
# What dies in each round: of 40 kills each of the two has 20, 12 of them alone.
TIMES = SIZES.service_kills // 40
ROUNDS = TIMES * (
    [("server",)] * 12 + [("gateway",)] * 12 + [("server", "gateway")] * 4 + [("gateway", "server")] * 4
)
MOST_KILLS = 100  # of a broken service: one in seven meets a key that is on its way
TRY_AGAIN = (0x7461, 0x7462)  # what a drive's library asks again after


def strike(site: Site, workers: Sequence[Worker], names: Sequence[str], dice: random.Random) -> None:
    """Let both drives work again, kill at a moment that nobody chose, and start what was killed."""
    wait_for_exchanges(workers)
    time.sleep(dice.uniform(0, 0.4))
    for name in names:
        site.estate.kill(name)
        time.sleep(dice.uniform(0, 0.2) if len(names) > 1 else 0)
    site.estate.start()


@pytest.mark.slow
def test_kills_lose_no_key_and_give_none_twice(tmp_path: Path, report: Report) -> None:
    dice = random.Random(SEED)
    begun = time.monotonic()
    with working(tmp_path, keys=2_048 * TIMES) as site:
        with at_work(site) as workers:
            for names in dice.sample(ROUNDS, len(ROUNDS)):
                strike(site, workers, names, dice)
            while sum(worker.exchanges for worker in workers) < EXCHANGES:
                wait_for_exchanges(workers)
        site.estate.close()
        verdict = judge(site.estate.home, site.books)
    kills = {name: sum(name in names for names in ROUNDS) for name in ("server", "gateway")}
    print(
        f"{sum(worker.exchanges for worker in workers):,} exchanges of two drives in "
        f"{time.monotonic() - begun:.0f} s, kills -9: {kills['server']} service, {kills['gateway']} gateway;",
        verdict,
        f"({sum(worker.retried for worker in workers)} errands done by the library's retry, "
        f"{sum(worker.repeated for worker in workers)} given again by the host, "
        f"{sum(worker.unconfirmed for worker in workers)} keys without COMPLETE)",
    )
    report.tried(RIG, "of a real service and a real gateway", sum(kills.values()), lost=len(verdict.flaws))
    assert [worker.trouble for worker in workers] == [[], []]
    assert verdict.flaws == []
    assert verdict.keys > EXCHANGES / 2
    assert verdict.again, "no retry came after its key had been given"


@pytest.mark.parametrize("killed", ["server", "gateway"])
def test_a_drive_that_thinks_while_it_happens_is_told_to_try_again(tmp_path: Path, killed: str) -> None:
    """Its session is gone; a code that a library takes for final (EE2D) would fail the write."""
    with working(tmp_path, keys=32) as site:
        drive = site.drives[0]
        errand = Errand(Ask.CREATE, "E01001L4", os.urandom(16))
        session = Session(drive, errand, site.anchors, os.urandom, now_us)
        with Connection(Server("127.0.0.1", site.port)) as connection:
            frame = session.receive(connection.ask(session.begin()))
            assert frame is not None
            site.estate.kill(killed)
            site.estate.start()
            site.estate.wait_gateway()
            with pytest.raises(NoAnswer if killed == "gateway" else Refused) as caught:
                session.receive(connection.ask(frame))
        assert caught.value.code in TRY_AGAIN
        assert site.library(drive).request(drive.serial, errand).confirmed


def _caught(folder: Path, build: str, kills: int) -> tuple[int, Verdict]:
    """Kill a service until the judge has something to say; return after how many kills, and what."""
    dice = random.Random(20071101)
    with working(folder, keys=512, build=build) as site:
        for number in range(1, kills + 1):
            with at_work(site, f"{number:02d}") as workers:
                strike(site, workers, ["server"], dice)
                wait_for_exchanges(workers, 4)
            site.estate.close()
            verdict = judge(site.estate.home, site.books)
            if verdict.flaws or number == kills:
                break
            site.estate.start()
    return number, verdict


@pytest.mark.slow
@pytest.mark.parametrize("build", ["early", "forgetful"])
def test_a_service_that_gives_a_key_twice_is_caught(tmp_path: Path, build: str, report: Report) -> None:
    kills, verdict = _caught(tmp_path, build, MOST_KILLS)
    print(f"{build}: after {kills} kills:", verdict)
    report.control(RIG, f"real service, {build}", caught=bool(verdict.flaws))
    assert verdict.flaws


def test_a_kill_sees_nothing_of_a_missing_sync(tmp_path: Path) -> None:
    """What was written outlives a process; test_service_powercut catches the same build."""
    assert _caught(tmp_path, "unsynced", 2)[1].flaws == []


def test_the_judge_sees_what_no_broken_service_here_does(tmp_path: Path) -> None:
    """A key that is gone, and one whose material is another."""
    home, book = Estate.make(tmp_path / "home", keys=2).home, tmp_path / "book"
    with Store.looked_at(home.store) as store:
        alias = store.load().keys[0].alias
    book.write_text("".join(f"{name},{bytes(32).hex()},00,E01001L4\n" for name in (alias, "GONE0001")))
    verdict = judge(home, [book])
    assert (verdict.lost, verdict.unreadable, verdict.free) == (["GONE0001"], [alias], [alias])
    assert verdict.changed == ["E01001L4"]
    trail = sqlite3.connect(home.store)
    trail.execute("UPDATE audit SET message = 'nothing' WHERE sequence = 1")
    trail.commit()
    trail.close()
    assert judge(home, []).trail == ["record 1: the record's hash does not hold"]
