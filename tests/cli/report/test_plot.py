"""Plots as shapes: nothing lies over another, nothing is outside, and they show the numbers given."""

from __future__ import annotations

from itertools import pairwise

import pytest

from qekm_cli.report.plot import WIDTH, Box, Label, Plot, bars, ceiling, columns, fitting, marked, width_of
from tests.cli.report.material import EVIL

DAYS = [f"2026-12-{day:02}" for day in range(1, 32)]


def left(label: Label) -> float:
    """Return where a label begins."""
    return label.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor] * label.width


def check(plot: Plot) -> None:
    """Every shape is inside, and no two labels of one line touch."""
    lines: dict[float, list[Label]] = {}
    for shape in plot.shapes:
        if isinstance(shape, Label):
            assert left(shape) >= 0, shape
            assert left(shape) + shape.width <= WIDTH, shape
            assert 8 <= shape.y <= plot.height, shape
            lines.setdefault(shape.y, []).append(shape)
        if isinstance(shape, Box):
            assert shape.width > 0
            assert shape.height > 0
            assert 0 <= shape.x <= shape.x + shape.width <= WIDTH, shape
            assert 0 <= shape.y <= shape.y + shape.height <= plot.height, shape
    for line in lines.values():
        for one, next_ in pairwise(sorted(line, key=left)):
            assert left(one) + one.width < left(next_), (one, next_)
    ys = sorted(lines)
    assert all(low == high or high - low >= 5 for low, high in pairwise(ys)), ys


@pytest.mark.parametrize(
    "values", [[], [0], [1], [5], [3, 0, 1], [0] * 31, list(range(400)), [1, 987_654_321]]
)
def test_columns_are_inside_and_as_high_as_their_values_say(values: list[int]) -> None:
    names = (DAYS * 13)[: len(values)]
    plot = columns("title", "said", names, [("one", values), ("other", values[::-1])])
    check(plot)
    boxes = [shape for shape in plot.shapes if isinstance(shape, Box)]
    assert len(boxes) == 2 * sum(map(bool, values))
    if any(values):
        highest = max(boxes, key=lambda box: box.height)
        lowest = min(boxes, key=lambda box: box.height)
        assert highest.height / lowest.height == pytest.approx(
            max(values) / min(filter(None, values)), rel=0.01
        ) or (lowest.height == 1.0)
        assert marked(ceiling(max(values))) in [
            shape.text for shape in plot.shapes if isinstance(shape, Label)
        ]
    if values:
        assert names[0] in [shape.text for shape in plot.shapes if isinstance(shape, Label)]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [("one", 0)],
        [("one", 1)],
        [("none", 0), ("some", 3), ("many", 1_000_000_000)],
        [(name, number) for number, name in enumerate(EVIL)],
        [(f"group-{number}", number) for number in range(400)],
    ],
)
def test_bars_are_inside_and_as_long_as_their_values_say(rows: list[tuple[str, int]]) -> None:
    plot = bars("title", "said", "keys", rows)
    check(plot)
    boxes = [shape for shape in plot.shapes if isinstance(shape, Box)]
    assert len(boxes) == sum(bool(value) for _, value in rows)
    told = [shape.text for shape in plot.shapes if isinstance(shape, Label)]
    assert all(f"{value:,}" in told for _, value in rows)


def test_the_top_of_an_axis_is_round_and_not_below_its_highest_value() -> None:
    for value in (*range(1_000), 10**9 - 1, 10**9, 10**9 + 1):
        assert value <= ceiling(value) <= max(1, 2 * value)
    assert [ceiling(value) for value in (0, 1, 3, 7, 11, 101, 999)] == [1, 1, 4, 8, 20, 200, 1_000]


def test_a_long_name_is_cut_and_shows_it() -> None:
    assert fitting("short", 200) == "short"
    for name in EVIL:
        cut = fitting(name, 100)
        assert width_of(cut) <= 100 + 12
        assert cut == name or cut.endswith("…")


def test_numbers_on_an_axis_are_short() -> None:
    assert [marked(value) for value in (0, 400_000, 10**6, 5 * 10**8, 2 * 10**9)] == [
        "0",
        "400,000",
        "1M",
        "500M",
        "2,000M",
    ]
