"""How much the tests of peers try: what every change can afford, or with QEKM_SIZE=soak what releases get."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """How often each fault, and how long."""

    destroyed: int  # servers with their disks
    failovers: int  # of each kind
    partition_s: float  # of each kind
    cut_s: float  # while keys are made
    steps: int  # of a walk
    timeout_s: int  # of one test


CI = Sizes(destroyed=20, failovers=2, partition_s=2.0, cut_s=0.0, steps=200, timeout_s=800)
SOAK = Sizes(destroyed=1_000, failovers=20, partition_s=60.0, cut_s=600.0, steps=5_000, timeout_s=86_400)

SIZES = SOAK if os.environ.get("QEKM_SIZE") == "soak" else CI
SEED = int(os.environ.get("QEKM_SEED", "20071101"))  # printed: the same seed, the same run
