"""kill -9 at any moment loses nothing that was acknowledged, and nothing is there in part."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.report import Report
from tests.faults.sizes import SEED, SIZES
from tests.faults.store_evidence import lost, run_worker
from tests.qekm.store.material import create

KILLS = max(10, SIZES.kills // 16)
RIG = "kill -9"


@pytest.mark.slow
def test_kills_lose_no_acknowledged_unit(tmp_path: Path, report: Report) -> None:
    path, promised = create(tmp_path), []
    moments = random.Random(SEED)
    for _ in range(KILLS):
        promised += run_worker(path, "honest", moments.uniform(0, 0.15), tmp_path)
        gone = lost(path, promised)
        assert gone == []
    report.tried(RIG, f"of a bare store, {len(promised):,} units told", KILLS)
    assert len(promised) > 10 * KILLS


def test_a_build_that_acknowledges_before_the_commit_is_caught(tmp_path: Path, report: Report) -> None:
    path = create(tmp_path)
    caught = any(lost(path, run_worker(path, "early", 0.05, tmp_path)) for _ in range(5))
    report.control(RIG, "bare store, early", caught=caught)
    assert caught
