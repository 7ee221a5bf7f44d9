"""What a report is made of, for the page and the print alike: text, plots, tables. Plain values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from qekm.text import printable
from qekm_cli.report.plot import Plot

MOST, MOST_NAME = 300, 80  # letters of a sentence, and of all else


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under their titles; `numbers`: which columns are numbers; `more`: what was left out."""

    caption: str
    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int] = frozenset()
    more: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A plot and the table of its numbers."""

    plot: Plot
    table: Table


@dataclass(frozen=True, slots=True)
class Section:
    """A part: its title, what is counted and where, and what was found; `nothing` says that nothing was."""

    title: str
    about: str
    facts: tuple[tuple[str, str], ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    nothing: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report."""

    title: str
    lines: tuple[str, ...]  # who, when, of what
    verdict: str  # on the trail, one line
    intact: bool
    sections: tuple[Section, ...]


def text(value: object, most: int = MOST_NAME) -> str:
    """Return a value as text of one line that can neither steer a terminal nor turn the line round."""
    match value:
        case None | "" | []:
            return "–"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case list():
            return sentence(", ".join(map(str, value)))
    line = printable(str(value))
    return line if len(line) <= most else line[: most - 1] + "…"


def sentence(value: object) -> str:
    """Return a longer text likewise."""
    return text(value, MOST)


def when(value: str | None) -> str:
    """Return a time of a message as people read it, in UTC to the second; a dash for never."""
    return "–" if not value else f"{moment(value):%Y-%m-%d %H:%M:%S}"


def day(value: str | None) -> str:
    """Return the day of a time of a message."""
    return "–" if not value else f"{moment(value):%Y-%m-%d}"


def moment(value: str) -> datetime:
    """Return a time of a message."""
    return datetime.fromisoformat(value)


def more(count: int, of: str) -> str:
    """Return what is said under a table that was cut; nothing if it was not."""
    return f"and {count:,} more {of}" if count else ""


def said(rows: list[tuple[str, int]], unit: str) -> str:
    """Return in words what a plot shows, for who cannot see it."""
    if not rows:
        return f"No {unit}."
    name, count = max(rows, key=lambda row: row[1])
    return f"{sum(count for _, count in rows):,} {unit} drawn; the most, {count:,}: {name}."
