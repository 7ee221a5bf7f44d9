"""What happened between two looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qekm_cli.top.rates import HISTORY, READ, WRITTEN, Rates, quantile

from .looks import NOW, counts


def test_a_rate_is_a_difference_of_counts_by_one_of_the_services_own_time() -> None:
    rates = Rates()
    rates.add(counts(NOW, 10))
    assert rates.now(WRITTEN) == 0
    rates.add(counts(NOW + 4, 30))
    assert (rates.now(WRITTEN), rates.now(READ)) == (5.0, 0.0)
    rates.add(counts(NOW + 6, 30))
    assert rates.history(WRITTEN) == [5.0, 0.0]


def test_a_service_that_started_anew_counts_from_nothing() -> None:
    rates = Rates([counts(NOW, 1_000)])
    rates.add(replace(counts(NOW + 2, 4), start_time="2027-02-01T00:00:00Z"))
    assert rates.history(WRITTEN) == []
    assert rates.now(WRITTEN) == 0


def test_a_clock_that_was_put_back_makes_no_rate() -> None:
    rates = Rates([counts(NOW, 10)])
    rates.add(counts(NOW - 60, 20))
    rates.add(counts(NOW, 20))
    assert rates.history(WRITTEN) == []
    rates.add(counts(NOW + 1, 21))
    assert rates.history(WRITTEN) == [11.0]


def test_no_more_looks_are_remembered_than_fit_a_wide_terminal() -> None:
    rates = Rates()
    for second in range(2 * HISTORY):
        rates.add(counts(NOW + second))
    assert len(rates.looks) == HISTORY


@pytest.mark.parametrize(
    ("found", "share", "bound"),
    [
        ((0, 0, 0), 0.5, None),
        ((1, 0, 0), 0.99, 0.01),
        ((99, 1, 0), 0.99, 0.01),
        ((98, 2, 0), 0.99, 0.1),
        ((0, 0, 1), 0.5, float("inf")),
    ],
)
def test_a_quantile_is_the_bound_of_the_bucket_it_lies_in(
    found: tuple[int, ...], share: float, bound: float | None
) -> None:
    assert quantile(found, (0.01, 0.1), share) == bound


def test_answers_are_those_of_the_looks_that_are_remembered() -> None:
    rates = Rates([counts(NOW, answers=(100, 0, 50))])
    assert rates.answered_within_s(0.5) is None
    rates.add(counts(NOW + 2, answers=(100, 3, 50)))
    assert rates.answered_within_s(0.5) == 0.1
