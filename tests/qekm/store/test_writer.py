"""The first failed write is the last: tried on a disk that is full, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qekm.errors import StoreInUse
from qekm.model import AuditRecord
from qekm.store import Store
from qekm.store.writer import Committed
from tests.qekm.store.material import SIGNER, make_record, unlock

ROOT = Path(__file__).parents[3]

PROGRAM = """
import asyncio, json, os, resource, sys
from pathlib import Path
from qekm.errors import StoreFailed
from qekm.errors import StoreInUse
from qekm.store import Store
from tests.qekm.store.material import unlock, SIGNER, make_key, make_record

async def main():
    path, room = Path(sys.argv[1]), int(sys.argv[2])
    store, failures = Store.open(path, unlock), []
    store.start(SIGNER.sign, failures.append)
    log = path.with_name(path.name + "-wal")
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + room, resource.RLIM_INFINITY))
    acknowledged, refused, number = [], [], 0
    while not refused:
        names = [str(number + place) for place in range(8)]
        number += 8
        results = await asyncio.gather(*[store.submit([[make_record(name)]]) for name in names])
        for name, (error,) in zip(names, results):
            (acknowledged if error is None else refused).append(name)
            assert error is None or type(error) is StoreFailed, error
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    size = log.stat().st_size
    later = [type((await store.submit([[make_record("later")]]))[0]).__name__ for _ in range(3)]
    try:
        await store.commit([make_key(1)])
    except StoreFailed:
        later.append("raised")
    store.close()
    json.dump({
        "acknowledged": acknowledged, "refused": refused, "failures": [str(error) for error in failures],
        "later": later, "grown": log.stat().st_size - size,
    }, sys.stdout)

asyncio.run(main())
"""


@pytest.mark.parametrize("room", [0, 5_000, 60_000, 300_000])
def test_after_a_full_disk_nothing_is_written_and_everyone_is_told(path: Path, room: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), str(room)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    assert told["refused"], "the disk was never full"
    assert told["later"] == ["StoreFailed"] * 3 + ["raised"]
    assert len(told["failures"]) == 1
    assert told["grown"] == 0
    assert "nothing more is written" in done.stderr
    # Not even the end of the process closed the file: that would have moved the log into it and removed it.
    assert path.with_name(path.name + "-wal").exists()
    store = Store.open(path, unlock)
    present = [item.record.message for item in store.iterate_audit()]
    store.close()
    assert present[: len(told["acknowledged"])] == told["acknowledged"]
    assert "later" not in present


async def test_a_signature_that_cannot_be_made_stops_the_writer_but_no_reader(path: Path) -> None:
    def broken(_: bytes) -> bytes:
        raise RuntimeError("no key")

    failures: list[BaseException] = []
    store = Store.open(path, unlock)
    store.start(broken, failures.append)
    results = await store.submit([[make_record("unsigned")]])
    assert [type(result).__name__ for result in results] == ["StoreFailed"]
    assert [str(failure) for failure in failures] == ["no key"]
    assert store.audit_count() == 0
    store.close()
    with pytest.raises(StoreInUse):
        Store.open(path, unlock)


class Watched(list[AuditRecord]):
    """A unit that counts how often it is gone through."""

    rounds = 0

    def __iter__(self) -> Iterator[AuditRecord]:
        """Count, and go through it."""
        self.rounds += 1
        return super().__iter__()


async def test_records_are_looked_for_in_the_units_only_if_somebody_wants_them(path: Path) -> None:
    told: list[int] = []

    async def rounds(committed: Committed | None) -> int:
        store, unit = Store.open(path, unlock), Watched([make_record("watched")])
        store.committed = committed
        store.start(SIGNER.sign, lambda error: None)
        assert await store.submit([unit]) == [None]
        store.close()
        return unit.rounds

    unwanted = await rounds(None)
    assert await rounds(lambda first, records: told.append(len(records))) == unwanted + 1
    assert told == [1]
