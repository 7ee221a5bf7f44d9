"""Whether a screen is what a page shows."""

from __future__ import annotations

import re

VARIES = "…"
_ORDER = re.compile(r"\x1b\[[?\d;]*[A-Za-z]")
_BAR = re.compile(r"(?m)^[\w ]+\[[#-]{10,}\] +(?:\d+% +)?[\d,]+/[\d,]+")


def differs(shown: str, screen: str) -> str:
    """Return the first line of what is shown that is not on the screen in its place, or the reverse; else "".

    A line of … alone stands for any lines, or none; within a line it stands for anything. Empty lines, blanks
    at the end of a line and the number of blanks between two columns do not count.
    """
    wanted, there = _lines(shown), _lines(plain(screen))
    at, loose = 0, False
    for line in wanted:
        if line == VARIES:
            loose = True
            continue
        places = range(at, len(there)) if loose else range(at, min(at + 1, len(there)))
        found = next((place for place in places if _fits(line, there[place])), None)
        if found is None:
            return f"shown: {line}"
        at, loose = found + 1, False
    return "" if loose or at == len(there) else f"not shown: {there[at]}"


def plain(screen: str) -> str:
    """Return what stays on a screen: no bars of progress, and no signs that a terminal takes as orders."""
    return _BAR.sub("", _ORDER.sub("", screen).replace("\r", "\n"))


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def _fits(line: str, there: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, line.split(VARIES))), there) is not None
