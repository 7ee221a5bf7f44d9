"""A report over a long trail: what it takes, and that drives do not wait for it.

200,000 records, or a million with QEKM_SIZE=soak. Promises are printed, and fail at three times the figure.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from qekm.clock import now_us
from qekm.dkp.codes import Ask
from qekm.estate import Estate
from qekm.home import Home
from qekm.init import Wanted, make
from qekm.intervals import DAY_US
from qekm.model import AuditRecord, Outcome
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.unlocking import unlock
from qekm.v1.report_pb2 import GetReportRequest, Report
from qekm_gateway.simulator.drive import Drive
from tests.qekm.api.drives_at_work import Site, play
from tests.qekm.api.running import FREE_PORTS, Gateway, Running, collect, running

RECORDS = 1_000_000 if os.environ.get("QEKM_SIZE") == "soak" else 200_000
DAYS, DRIVES, COMMIT = 60, 500, 20_000
MOST = 90  # exchanges: a drive is given 120 new keys an hour
KINDS = (
    ("key.create", Outcome.INTENT, "", 1),
    ("key.serve", Outcome.INTENT, "", 1),
    ("key.install", Outcome.SUCCESS, "", 1),
    ("drive.refuse", Outcome.FAILURE, "EE31", 3),
)
SLOWER_AIM = 2.0  # an exchange while a report is made, to one while none is
MEMORY_AIM = 48  # MiB more than before


def trail() -> Iterator[list[AuditRecord]]:
    """Yield the records of two months, in parts."""
    begin, step = now_us() - DAYS * DAY_US, DAYS * DAY_US // RECORDS
    for first in range(0, RECORDS, COMMIT):
        yield [record(number, begin + number * step) for number in range(first, first + COMMIT)]


def record(number: int, time_us: int) -> AuditRecord:
    event, outcome, code, count = KINDS[number % len(KINDS)]
    serial = f"{number // 4 % DRIVES:012}"
    volser = f"E{number % 99_999:05}L8"
    return AuditRecord(
        time_us, event, outcome, f"drive/{serial}", serial, b"", volser, code=code, count=count
    )


async def filled(path: Path) -> Home:
    """Make a key manager whose store has that trail, each commit chained and signed."""
    home = Home(path)
    make(home, Wanted(keys=256, properties=FREE_PORTS), now_us)
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)), anchor=home.anchor)
    found = store.load()
    failures: list[BaseException] = []
    store.start(Estate.load(found.vaults, found.settings, store.ring).audit_key.sign, failures.append)
    for part in trail():
        await store.commit(part)
    store.close()
    assert not failures
    return home


async def exchange(site: Site, gateway: Gateway, drive: Drive) -> float:
    """Return how long a drive waits for a key, in seconds."""
    begin = time.perf_counter()
    await play(gateway, site.asking(drive, Ask.CREATE))
    return time.perf_counter() - begin


def of(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.0f} ms, at most {max(seconds) * 1000:.0f}"


async def made(run: Running) -> Report:
    asked = GetReportRequest()
    asked.since.FromMicroseconds(now_us() - 2 * DAYS * DAY_US)
    return (await collect(run.client.report.GetReport(asked, timeout=3_600)))[-1].report


async def test_a_long_trail_is_counted_while_drives_are_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = await filled(tmp_path / "home")
    async with running(home.path) as run:
        site = await Site.of(run)
        drive = site.drive()
        async with run.gateway() as gateway:
            before = [await exchange(site, gateway, drive) for _ in range(25)]
            memory, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
            report, meanwhile = asyncio.ensure_future(made(run)), []
            while not report.done() and len(meanwhile) < MOST:
                meanwhile.append(await exchange(site, gateway, drive))
                await asyncio.sleep(0.02)
            told = await report
    seconds = time.perf_counter() - begin
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    slower = statistics.median(meanwhile) / statistics.median(before)
    with capsys.disabled():
        print(
            f"\nreport over {told.trail.record_count:,} records: {seconds:.1f} s, "
            f"{more:.0f} MiB more (aim {MEMORY_AIM}); an exchange takes {slower:.2f} times as long "
            f"(aim {SLOWER_AIM}): {of(meanwhile)} during it, {of(before)} before"
        )
    quarter = RECORDS // len(KINDS)
    assert told.trail.verdict.intact
    assert told.trail.checked >= RECORDS
    assert sum(each.read for each in told.serving) == quarter
    assert sum(each.refused for each in told.serving) == 3 * quarter
    assert 0 <= sum(each.created for each in told.serving) - quarter - len(before) <= len(meanwhile)
    assert told.interval == "day"
    assert told.more_failing_drives == DRIVES - len(told.failing_drives)
    assert told.ByteSize() < 200_000
    assert slower <= 3 * SLOWER_AIM
    assert more <= 3 * MEMORY_AIM
