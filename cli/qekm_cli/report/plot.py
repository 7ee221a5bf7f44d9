"""Plots as shapes on a plane, decided here once: the page and the print draw the same ones. Pure.

Units are those of an SVG whose viewBox is 720 wide, y downwards. A shape's role says what it is, not its
colour: bar (a value), axis, grid, text, faint (text beside it).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

WIDTH = 720.0
# Widths of letters at the size of 11 that all text has, whatever the font: rather too wide than too narrow.
_NARROW, _LETTER, _BROAD, _DOUBLE = 4.2, 6.8, 8.6, 12.0
_LEFT, _RIGHT = 64.0, 40.0  # margins of columns: room for the numbers, and for half of the last name
_PANEL, _HEAD = 64.0, 22.0
_NAMES = 210.0  # where the bars begin: names are before
_VALUES = 90.0
_ROW = 20.0
_WIDEST = 40.0  # of a column

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Box:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    role: str = "bar"
    kind: str = "box"


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    role: str = "grid"
    kind: str = "rule"


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text; y is its base line."""

    x: float
    y: float
    text: str
    anchor: Anchor = "start"
    role: str = "text"
    kind: str = "label"

    @property
    def width(self) -> float:
        """Return about how wide it is."""
        return width_of(self.text)


Shape = Box | Rule | Label


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture: what it shows in one line, what it says in another, and its shapes."""

    title: str
    said: str
    height: float
    shapes: tuple[Shape, ...]


def columns(title: str, said: str, names: Sequence[str], panels: Sequence[tuple[str, Sequence[int]]]) -> Plot:
    """Return a panel of columns for each series, one below the other, over the same names."""
    shapes: list[Shape] = []
    for number, (label, values) in enumerate(panels):
        shapes += _panel(number * (_PANEL + _HEAD), label, values)
    height = len(panels) * (_PANEL + _HEAD)
    shapes += _names(height + 14, names)
    return Plot(title, said, height + 20, tuple(shapes))


def bars(title: str, said: str, unit: str, rows: Sequence[tuple[str, int]]) -> Plot:
    """Return a bar for each name, and its value beside it."""
    most = max((value for _, value in rows), default=0)
    room = WIDTH - _NAMES - _VALUES
    height = _HEAD + _ROW * len(rows)
    shapes: list[Shape] = [
        Label(_NAMES, 14, unit, role="faint"),
        Rule(_NAMES, _HEAD - 2, _NAMES, height, "axis"),
    ]
    for number, (name, value) in enumerate(rows):
        base = _HEAD + _ROW * number
        width = max(1.0, room * value / most) if value else 0.0
        shapes.append(Label(_NAMES - 8, base + 13, fitting(name, _NAMES - 12), "end"))
        if value:
            shapes.append(Box(_NAMES, base + 3, width, _ROW - 7))
        shapes.append(Label(_NAMES + width + 6, base + 13, f"{value:,}"))
    return Plot(title, said, height + 6, tuple(shapes))


def ceiling(most: int) -> int:
    """Return the lowest of 1, 2, 4, 5, 6, 8, 10, 20, 40 … that is not below a value: the top of an axis."""
    power = 1
    while True:
        for step in (1, 2, 4, 5, 6, 8):
            if step * power >= most:
                return step * power
        power *= 10


def marked(value: int) -> str:
    """Return a number for an axis, where there is no room for more than six digits: 5,000, 20M (millions)."""
    return f"{value:,}" if value < 1_000_000 else f"{value / 1_000_000:,g}M"


def fitting(text: str, room: float) -> str:
    """Return a text that is at most so wide, a sign at its end if something was left out."""
    if width_of(text) <= room:
        return text
    kept, width = 0, _DOUBLE
    while (width := width + width_of(text[kept])) <= room:
        kept += 1
    return text[:kept] + "…"


def width_of(text: str) -> float:
    """Return about how wide a text is: pictures and letters of East Asia take the room of two."""
    return sum(map(_width, text))


def _width(letter: str) -> float:
    if letter in "ijl.,:;|'!()[] ft":
        return _NARROW
    if letter.isupper() or letter in "mwMW@%—…":
        return _BROAD
    return _DOUBLE if unicodedata.east_asian_width(letter) in "WF" else _LETTER


def _panel(top: float, label: str, values: Sequence[int]) -> Iterator[Shape]:
    """Yield the panel of a series: its label, an axis with its numbers, and columns."""
    base, most = top + _HEAD + _PANEL - 8, ceiling(max(values, default=0))
    room = _PANEL - 8
    yield Label(_LEFT, top + 14, label, role="text")
    for mark in sorted({0, most // 2, most}) if most % 2 == 0 else (0, most):
        y = base - room * mark / most
        yield Rule(_LEFT, y, WIDTH - _RIGHT, y, "axis" if not mark else "grid")
        yield Label(_LEFT - 6, y + 4, marked(mark), "end", "faint")
    slot = (WIDTH - _LEFT - _RIGHT) / max(len(values), 1)
    width = min(slot * 0.8, _WIDEST)
    for place, value in enumerate(values):
        if value:
            high = max(1.0, room * value / most)
            yield Box(_LEFT + slot * (place + 0.5) - width / 2, base - high, width, high)


def _names(y: float, names: Sequence[str]) -> Iterator[Label]:
    """Yield as many names under the columns as there is room for, the first one among them."""
    slot = (WIDTH - _LEFT - _RIGHT) / max(len(names), 1)
    widest = max(map(width_of, names), default=0.0) + 8
    every = max(1, -int(-widest // slot))
    for place in range(0, len(names), every):
        yield Label(_LEFT + slot * (place + 0.5), y, names[place], "middle", "faint")
