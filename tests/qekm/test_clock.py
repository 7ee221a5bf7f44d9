"""Times as people read them."""

from __future__ import annotations

import pytest

from qekm.clock import utc


@pytest.mark.parametrize(
    ("time_us", "said"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (999_999, "1970-01-01T00:00:00Z"),
        (1_700_000_000_000_000, "2023-11-14T22:13:20Z"),
    ],
)
def test_a_time_is_said_in_whole_seconds_of_utc(time_us: int, said: str) -> None:
    assert utc(time_us) == said
