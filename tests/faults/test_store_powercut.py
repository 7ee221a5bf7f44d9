"""A power cut, on a disk that really forgets: acknowledged is present. A kill cannot see a missing fsync."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from qekm.errors import StoreNewer
from qekm.store import Store
from tests.faults.powercut.rig import VolatileDisk
from tests.faults.report import Report
from tests.faults.sizes import SEED, SIZES
from tests.faults.store_evidence import Worker, lost, run_worker
from tests.qekm.store.material import SLOTS, create, make_key, next_schema, unlock

pytestmark = pytest.mark.root
MakeDisk = Callable[[], VolatileDisk]
CUTS = max(4, SIZES.cuts // 10)
RIG = "power cut"


def _lost_in_a_cut(disk: VolatileDisk, build: str, seconds: float) -> tuple[list[str], int]:
    """Run a build on a new store until the cut; return what it lost, and how much it had promised."""
    promised = run_worker(create(disk.mount), build, seconds, disk.mount.parent, disk.cut)
    return lost(disk.after / "store" / "qekm.db", promised), len(promised)


def test_the_disk_forgets_what_was_not_synced_and_nothing_else(make_disk: MakeDisk) -> None:
    with make_disk() as disk:
        for name in ("synced", "forgotten"):
            handle = os.open(disk.mount / name, os.O_CREAT | os.O_WRONLY)
            os.write(handle, name.encode())
            if name == "synced":
                os.fsync(handle)
        disk.cut()
        assert (disk.after / "synced").read_text() == "synced"
        assert not (disk.after / "forgotten").exists()


@pytest.mark.slow
def test_power_cuts_lose_no_acknowledged_unit(make_disk: MakeDisk, report: Report) -> None:
    moments, promised = random.Random(SEED), 0
    for _ in range(CUTS):
        with make_disk() as disk:
            gone, told = _lost_in_a_cut(disk, "honest", moments.uniform(0, 0.6))
            report.tried(RIG, "under a bare store", 1, lost=len(gone))
            assert gone == []
            promised += told
    assert promised > 10 * CUTS


@pytest.mark.parametrize("build", ["unsynced", "early"])
def test_a_build_that_acknowledges_what_is_not_durable_is_caught(
    make_disk: MakeDisk, build: str, report: Report
) -> None:
    for _ in range(3):
        with make_disk() as disk:
            if _lost_in_a_cut(disk, build, 0.2)[0]:
                return report.control(RIG, f"bare store, {build}", caught=True)
    report.control(RIG, f"bare store, {build}", caught=False)
    pytest.fail("a broken build looked like an honest one")


def test_a_disk_that_lies_about_its_flushes_is_no_disk_for_keys(make_disk: MakeDisk) -> None:
    with make_disk() as disk:
        path = create(disk.mount)
        disk.fault("flush-lie")
        promised = run_worker(path, "honest", 0.2, disk.mount.parent, disk.cut)
        assert lost(disk.after / "store" / "qekm.db", promised)


def test_a_store_is_there_when_the_power_goes_right_after_it_was_made(make_disk: MakeDisk) -> None:
    with make_disk() as disk:
        create(disk.mount)
        disk.cut()
        store = Store.open(disk.after / "store" / "qekm.db", unlock)
        assert store.load().slots == [*SLOTS]
        store.close()


def test_a_store_is_migrated_when_the_power_goes_right_after_it_was_opened(
    make_disk: MakeDisk, tmp_path: Path
) -> None:
    with make_disk() as disk:
        present = next_schema(tmp_path / "next")
        store = Store.open(create(disk.mount, make_key(1)), unlock, present=present)
        disk.cut()
        with pytest.raises(StoreNewer):
            Store.open(disk.after / "store" / "qekm.db", unlock)
        after = Store.open(disk.after / "store" / "qekm.db", unlock, present=present)
        assert after.load().keys == [make_key(1)]
        after.close()
        del store


@pytest.mark.parametrize("fault", ["flush-error", "write-error"])
def test_the_first_failed_sync_ends_the_process_and_loses_nothing(make_disk: MakeDisk, fault: str) -> None:
    with make_disk() as disk:
        with Worker(create(disk.mount), "honest", disk.mount.parent) as worker:
            worker.wait_for_promises()
            disk.fault(fault)
            assert "nothing more is written" in worker.errors()
            assert worker.process.returncode == 3, "it ends by itself, as its on_failure says"
        disk.cut()
        assert lost(disk.after / "store" / "qekm.db", worker.promises()) == []
