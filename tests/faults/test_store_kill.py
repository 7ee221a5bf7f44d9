"""kill -9 at any moment loses nothing that was acknowledged, and nothing is there in part."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.store_evidence import lost, run_worker
from tests.qekm.store.material import create

KILLS = 30


@pytest.mark.slow
def test_thirty_kills_lose_no_acknowledged_unit(tmp_path: Path) -> None:
    path, promised = create(tmp_path), []
    moments = random.Random(20071101)
    for _ in range(KILLS):
        promised += run_worker(path, "honest", moments.uniform(0, 0.15), tmp_path)
        assert lost(path, promised) == []
    assert len(promised) > 10 * KILLS


def test_a_build_that_acknowledges_before_the_commit_is_caught(tmp_path: Path) -> None:
    path = create(tmp_path)
    assert any(lost(path, run_worker(path, "early", 0.05, tmp_path)) for _ in range(5))
