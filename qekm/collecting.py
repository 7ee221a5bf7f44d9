"""How seldom cycles are looked for in a process that serves for years."""

from __future__ import annotations

import gc

_THRESHOLDS = 50_000, 20, 100  # an exchange makes hundreds of objects, few of them in cycles


def spare() -> None:
    """Leave what is loaded now out of all collections, and have few of what comes.

    A full one of a million keys would take 0.1 s, in which no drive is served.
    """
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
