"""Spans of time cut into intervals."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from qekm.intervals import DAY_US, begin, begins, interval_of


def us(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000  # type: ignore[misc,arg-type]


NOW = us(2024, 2, 29, 13, 45, 1)


@pytest.mark.parametrize(
    ("interval", "began", "then"),
    [
        ("hour", us(2024, 2, 29, 13), us(2024, 2, 29, 14)),
        ("day", us(2024, 2, 29), us(2024, 3, 1)),
        ("week", us(2024, 2, 26), us(2024, 3, 4)),
        ("month", us(2024, 2, 1), us(2024, 3, 1)),
        ("year", us(2024, 1, 1), us(2025, 1, 1)),
    ],
)
def test_an_interval_begins_where_the_calendar_says_so(interval: str, began: int, then: int) -> None:
    assert begin(interval, NOW) == began
    assert begin(interval, began) == began
    assert begin(interval, began - 1) < began
    assert list(begins(interval, NOW, then)) == [began]
    assert list(begins(interval, NOW, then + 1)) == [began, then]


@pytest.mark.parametrize("years", [1, 2, 3, 12, 13, 30, 57, 400])
def test_no_span_has_more_than_some_hundred_intervals_and_none_of_them_is_missing(years: int) -> None:
    since, until = 1, years * 365 * DAY_US
    interval = interval_of(until - since)
    found = list(begins(interval, since, until))
    assert 10 < len(found) <= 401
    assert {begin(interval, time) for time in range(since, until, 7 * DAY_US)} <= set(found)
    assert found == sorted(set(found))
    assert {begin(interval, each) for each in found} == set(found)


def test_an_empty_span_has_the_interval_that_it_is_in() -> None:
    assert list(begins("day", NOW, NOW)) == [us(2024, 2, 29)]
    assert interval_of(0) == "hour"
