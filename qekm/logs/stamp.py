"""How a time is written in every log: 2026-01-31T12:00:00.000000Z."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def stamp(time_us: int) -> str:
    """Return microseconds since 1970 as UTC; of a time that no calendar has, the number."""
    second, rest = divmod(time_us, 1_000_000)
    return f"{_second(second)}.{rest:06d}Z"


@lru_cache(maxsize=8)  # records come in the order of their times
def _second(second: int) -> str:
    try:
        return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{second}s"
