"""The machine's clocks: the time of day in whole microseconds, UTC, and one that nobody sets."""

from __future__ import annotations

import time


def now_us() -> int:
    """Return the time in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000


def steady_s() -> float:
    """Return seconds since some moment; the time in which the machine sleeps counts, a set clock does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def steady_us() -> int:
    """Return the same in whole microseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000
