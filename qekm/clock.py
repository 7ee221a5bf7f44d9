"""The machine's clock, as everything here wants it: whole microseconds, UTC."""

from __future__ import annotations

import time


def now_us() -> int:
    """Return the time in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000
