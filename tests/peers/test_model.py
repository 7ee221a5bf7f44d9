"""The walk of tests/qekm/replication/test_model.py, a long one: servers are cut off, die and come back."""

from __future__ import annotations

import os
import time

import pytest

from tests.faults.sizes import SEED
from tests.qekm.replication.test_model import walk

STEPS = int(os.environ.get("QEKM_MODEL_STEPS", "100000"))  # a soak takes more
PARTS = 4  # so that no test keeps one core busy while the others have nothing to do


@pytest.mark.slow
@pytest.mark.timeout(600 + STEPS // 50)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_hundred_thousand_steps_break_no_rule(part: int) -> None:
    begun_s, used_s = time.monotonic(), time.process_time()
    walk(STEPS // PARTS, SEED + part)
    took_s, used_s = time.monotonic() - begun_s, time.process_time() - used_s
    print(
        f"{STEPS // PARTS:,} of {STEPS:,} steps, seed {SEED + part}, {took_s:.0f} s, "
        f"of which this process worked {used_s:.0f} s"
    )
