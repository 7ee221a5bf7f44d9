"""A histogram in memory."""

from __future__ import annotations

from qekm.distribution import Distribution


def test_a_value_is_counted_under_the_first_bound_that_it_does_not_exceed() -> None:
    found = Distribution((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 9.0):
        found.add(value)
    assert (found.counts, found.sum) == ([2, 2, 1], 14.0)
