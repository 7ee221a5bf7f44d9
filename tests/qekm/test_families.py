"""Families of samples: what Prometheus would refuse is never made."""

from __future__ import annotations

from qekm import __version__
from qekm.distribution import Distribution
from qekm.families import Family, build, count, counter, gauge, histogram, one


def samples(family: Family) -> dict[tuple[str, ...], float]:
    return {(each.name, *each.labels.values()): each.value for each in family.metric().samples}


def test_two_rows_that_look_the_same_are_one_and_the_first_holds() -> None:
    rows = [(("a\nb",), 1.0), (("a?b",), 2.0), (("x" * 500,), 3.0), (("x" * 501,), 4.0)]
    assert samples(gauge("g", "G.", rows, "who")) == {("g", "a?b"): 1, ("g", "x" * 128): 3}
    assert samples(counter("c", "C.", rows[:2], "who")) == {("c_total", "a?b"): 1}


def test_a_histogram_counts_up_to_each_bound() -> None:
    found = Distribution((1.0, 2.0))
    for value in (0.5, 1.5, 1.5, 9.0):
        found.add(value)
    assert samples(histogram("h", "H.", found)) == {
        ("h_bucket", "1.0"): 1,
        ("h_bucket", "2.0"): 3,
        ("h_bucket", "+Inf"): 4,
        ("h_count",): 4,
        ("h_sum",): 12.5,
    }


def test_single_values_have_no_labels_and_a_build_says_its_version() -> None:
    assert samples(one("o", "O.", 2.0)) == {("o",): 2}
    assert samples(count("n", "N.", 3.0)) == {("n_total",): 3}
    (family,) = build("b")
    assert next(iter(samples(family)))[:2] == ("b_build_info", __version__)
