"""The metrics of docs/monitoring.md, as its tables have them."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "monitoring.md"
_ROW = re.compile(r"^\| (`.+?`) \| (gauge|counter|histogram) \|", re.MULTILINE)
_NAME = re.compile(r"`(qekm_[a-z0-9_]+)(?:\{([a-z_,]+)\})?`")


def metrics() -> dict[str, tuple[str, frozenset[str]]]:
    """Return kind and labels of every metric by its name; counters with _total."""
    found = {}
    for cell, kind in _ROW.findall(PAGE.read_text()):
        for name, labels in _NAME.findall(cell):
            found[name] = kind, frozenset(filter(None, labels.split(",")))
    return found
