"""The machine's clocks: the time of day in whole microseconds, UTC, and one that nobody sets."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def now_us() -> int:
    """Return the time in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000


def utc(time_us: int) -> str:
    """Return such a time as people read it, in whole seconds: 2026-11-26T15:40:00Z."""
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def steady_s() -> float:
    """Return seconds since some moment; the time in which the machine sleeps counts, a set clock does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def steady_us() -> int:
    """Return the same in whole microseconds."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000
