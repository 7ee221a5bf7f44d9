"""Figures as Prometheus takes them: families of samples. Names and labels are in docs/monitoring.md."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import TYPE_CHECKING

from qekm import __version__
from qekm.distribution import Distribution
from qekm.text import as_line

if TYPE_CHECKING:  # it takes a tenth of a second to import, and is not always wanted
    from prometheus_client.core import Metric

MOST = 100
"""Values of one label that are told apart, groups for example; what is beyond is OTHERS, or is left out."""
OTHERS = "all others"  # with a space, as no group's name has it
_LONGEST = 128  # characters of a label

Rows = Iterable[tuple[tuple[str, ...], float]]
"""The texts of the labels, and the value."""


def gauge(name: str, help_: str, rows: Rows, *labels: str) -> Metric:
    """Return a figure that goes up and down: its values, each with the texts of its labels."""
    from prometheus_client.core import GaugeMetricFamily

    made = GaugeMetricFamily(name, help_, labels=labels)
    for texts, value in _clean(rows).items():
        made.add_metric(texts, value)
    return made


def one(name: str, help_: str, value: float) -> Metric:
    """Return a figure that goes up and down and has one value."""
    return gauge(name, help_, [((), value)])


def counter(name: str, help_: str, rows: Rows, *labels: str) -> Metric:
    """Return a figure that only goes up, until the next start; its name gets _total."""
    from prometheus_client.core import CounterMetricFamily

    made = CounterMetricFamily(name, help_, labels=labels)
    for texts, value in _clean(rows).items():
        made.add_metric(texts, value)
    return made


def count(name: str, help_: str, value: float) -> Metric:
    """Return a figure that only goes up and has one value; its name gets _total."""
    return counter(name, help_, [((), value)])


def histogram(name: str, help_: str, found: Distribution) -> Metric:
    """Return a distribution of values."""
    from prometheus_client.core import HistogramMetricFamily

    bounds = [*map(str, found.bounds), "+Inf"]
    made = HistogramMetricFamily(name, help_)
    made.add_metric([], list(zip(bounds, map(float, accumulate(found.counts)), strict=True)), found.sum)
    return made


def build(name: str) -> Iterator[Metric]:
    """Yield what runs: its version and Python's."""
    labels = ("version", "python")
    texts = __version__, platform.python_version()
    yield gauge(f"{name}_build_info", "What runs here; always 1.", [(texts, 1.0)], *labels)


def _clean(rows: Rows) -> dict[tuple[str, ...], float]:
    """Return each row once, the first of those that look the same: Prometheus refuses two of one name."""
    found: dict[tuple[str, ...], float] = {}
    for texts, value in rows:
        found.setdefault(tuple(as_line(text, _LONGEST) for text in texts), value)
    return found
