"""Cut a span of time into hours, days, weeks, months or years of UTC, at most some 150 of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

HOUR_US = 3_600 * 1_000_000
DAY_US = 24 * HOUR_US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# The longest span, in days, that is told in such intervals; beyond the last one in years.
_LONGEST = (("hour", 4), ("day", 120), ("week", 1_000), ("month", 4_400))


def interval_of(span_us: int) -> str:
    """Return how long the intervals of a span are: hour, day, week, month or year."""
    return next((name for name, days in _LONGEST if span_us <= days * DAY_US), "year")


def begin(interval: str, time_us: int) -> int:
    """Return when the interval began that a time is in; weeks begin on Mondays."""
    match interval:
        case "hour":
            return time_us - time_us % HOUR_US
        case "day":
            return time_us - time_us % DAY_US
        case "week":
            return time_us - (time_us + 3 * DAY_US) % (7 * DAY_US)  # 1970 began on a Thursday
        case "month":
            return _us(_moment(time_us).replace(day=1))
    return _us(_moment(time_us).replace(day=1, month=1))


def begins(interval: str, since_us: int, until_us: int) -> Iterator[int]:
    """Yield the begins of all intervals that have a part of a span, in order, at least one."""
    begin_us = begin(interval, since_us)
    yield begin_us
    while (begin_us := _next(interval, begin_us)) < until_us:
        yield begin_us


def _next(interval: str, begin_us: int) -> int:
    days = {"hour": 1 / 24, "day": 1, "week": 7, "month": 31, "year": 366}[interval]
    return begin(interval, begin_us + round(days * DAY_US))


def _moment(time_us: int) -> datetime:
    """Return the day that a time is in."""
    return _EPOCH + timedelta(days=time_us // DAY_US)


def _us(moment: datetime) -> int:
    return (moment - _EPOCH).days * DAY_US
