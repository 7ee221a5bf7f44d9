"""kill -9 of the service and of the gateway at any moment: no key is lost, none is given to two cartridges.

Two drives work all the time, each with a book of its own; what the key manager's disk holds afterwards is
judged by these books. The same judge must see what is wrong with a service that is broken on purpose.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.site import Site, working
from tests.faults.verdict import Verdict, judge
from tests.faults.worker import Worker

EXCHANGES = 1_000
# What dies in each round: each of the two 20 times, 12 of them alone.
ROUNDS = [("server",)] * 12 + [("gateway",)] * 12 + [("server", "gateway")] * 4 + [("gateway", "server")] * 4
PATIENCE_S = 60.0


@contextmanager
def at_work(site: Site, prefix: str = "") -> Iterator[list[Worker]]:
    """Have the drives work for a block; nothing that must not happen to them may have happened."""
    folder = site.estate.home.path.parent
    workers = [
        Worker(drive, site.library(drive), folder / f"book{place}", f"{prefix}{'AB'[place]}")
        for place, drive in enumerate(site.drives)
    ]
    for worker in workers:
        worker.start()
    try:
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def books(site: Site) -> list[Path]:
    """Return the drives' books."""
    return sorted(site.estate.home.path.parent.glob("book*"))


def wait_for_exchanges(workers: Sequence[Worker], more: int = 1) -> None:
    """Wait until every drive has done more."""
    wanted = [worker.exchanges + more for worker in workers]
    deadline = time.monotonic() + PATIENCE_S
    while any(worker.exchanges < number for worker, number in zip(workers, wanted, strict=True)):
        troubles = [trouble for worker in workers for trouble in worker.trouble]
        assert not troubles, troubles
        assert time.monotonic() < deadline, "a drive gets no key"
        time.sleep(0.01)


def strike(site: Site, workers: Sequence[Worker], names: Sequence[str], dice: random.Random) -> None:
    """Let both drives work again, kill at a moment that nobody chose, and start what was killed."""
    wait_for_exchanges(workers)
    time.sleep(dice.uniform(0, 0.4))
    for name in names:
        site.estate.kill(name)
        time.sleep(dice.uniform(0, 0.2) if len(names) > 1 else 0)
    site.estate.start()


@pytest.mark.slow
def test_forty_kills_lose_no_key_and_give_none_twice(tmp_path: Path) -> None:
    dice = random.Random(20071101)
    begun = time.monotonic()
    with working(tmp_path / "home", keys=2_048) as site:
        with at_work(site) as workers:
            for names in dice.sample(ROUNDS, len(ROUNDS)):
                strike(site, workers, names, dice)
            while sum(worker.exchanges for worker in workers) < EXCHANGES:
                wait_for_exchanges(workers)
        site.estate.close()
        verdict = judge(site.estate.home, books(site))
    kills = {name: sum(name in names for names in ROUNDS) for name in ("server", "gateway")}
    print(
        f"{sum(worker.exchanges for worker in workers):,} exchanges of two drives in "
        f"{time.monotonic() - begun:.0f} s, kills -9: {kills['server']} service, {kills['gateway']} gateway;",
        verdict,
        f"({sum(worker.retried for worker in workers)} errands done by the library's retry, "
        f"{sum(worker.repeated for worker in workers)} given again by the host, "
        f"{sum(worker.unconfirmed for worker in workers)} keys without COMPLETE)",
    )
    assert [worker.trouble for worker in workers] == [[], []]
    assert verdict.flaws == []
    assert verdict.keys > EXCHANGES / 2


def _caught(path: Path, build: str, kills: int) -> tuple[int, Verdict]:
    """Return after how many kills of the service the judge had something to say, and what."""
    dice = random.Random(20071101)
    with working(path, keys=512) as site:
        site.estate.stop()
        if build:
            site.estate.program = ("tests.faults.broken_service", build)
        verdict = Verdict()
        for number in range(1, kills + 1):
            site.estate.start()
            site.estate.wait_gateway()
            with at_work(site, f"{number:02d}") as workers:
                strike(site, workers, ["server"], dice)
                wait_for_exchanges(workers, 4)
            site.estate.close()
            verdict = judge(site.estate.home, books(site))
            if verdict.flaws:
                break
    return number, verdict


@pytest.mark.parametrize("build", ["early", "forgetful"])
def test_a_service_that_gives_a_key_twice_is_caught(tmp_path: Path, build: str) -> None:
    kills, verdict = _caught(tmp_path / "home", build, 20)
    print(f"{build}: after {kills} kills:", verdict)
    assert verdict.flaws
