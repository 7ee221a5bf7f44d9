"""How much the fault tests try: what every change can afford, or with QEKM_SIZE=soak what a release gets."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """How often each rig does its worst."""

    service_kills: int  # kill -9 of the real service and gateway, drives at work
    kills: int  # kill -9 of a whole service in one process, in the middle of each of its acts
    cuts: int  # power cuts of each write path
    flips: int  # bits of a store, a backup and an export together; 0: every one, where something is written
    steps: int  # of the random walk over real processes
    calls: int  # of each kind that fail in an act; 0: every one
    timeout_s: int  # of one test


CI = Sizes(service_kills=40, kills=160, cuts=20, flips=2_000, steps=200, calls=3, timeout_s=1_800)
SOAK = Sizes(service_kills=200, kills=4_800, cuts=500, flips=0, steps=5_000, calls=0, timeout_s=86_400)

# Processes of one rig: rigs that run beside each other (pytest-xdist) share the machine's cores.
PROCESSES = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))

SIZES = SOAK if os.environ.get("QEKM_SIZE") == "soak" else CI
SEED = int(os.environ.get("QEKM_SEED", "20071101"))  # printed with the report: the same seed, the same run
