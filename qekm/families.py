"""Figures for Prometheus: families of samples. Names and labels are in docs/monitoring.md.

A family is plain data, made in the event loop in a moment; what costs time is done in the thread of who asks.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
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

Row = tuple[tuple[str, ...], float]
"""The texts of the labels, and the value."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """A figure that goes up and down: its values, each with the texts of its labels."""

    name: str
    help: str
    rows: list[Row]
    labels: tuple[str, ...] = ()

    def metric(self) -> Metric:
        """Return it as Prometheus' client has it."""
        from prometheus_client.core import GaugeMetricFamily

        return _filled(GaugeMetricFamily(self.name, self.help, labels=self.labels), self.rows)


@dataclass(frozen=True, slots=True)
class Counter:
    """A figure that only goes up, until the next start; its name gets _total."""

    name: str
    help: str
    rows: list[Row]
    labels: tuple[str, ...] = ()

    def metric(self) -> Metric:
        """Return it as Prometheus' client has it."""
        from prometheus_client.core import CounterMetricFamily

        return _filled(CounterMetricFamily(self.name, self.help, labels=self.labels), self.rows)


@dataclass(frozen=True, slots=True)
class Histogram:
    """A distribution of values as it was at a moment."""

    name: str
    help: str
    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float

    def metric(self) -> Metric:
        """Return it as Prometheus' client has it."""
        from prometheus_client.core import HistogramMetricFamily

        bounds = [*map(str, self.bounds), "+Inf"]
        made = HistogramMetricFamily(self.name, self.help)
        made.add_metric([], list(zip(bounds, map(float, accumulate(self.counts)), strict=True)), self.sum)
        return made


Family = Gauge | Counter | Histogram


def gauge(name: str, help_: str, rows: Iterable[Row], *labels: str) -> Gauge:
    """Return a gauge with labels."""
    return Gauge(name, help_, list(rows), labels)


def one(name: str, help_: str, value: float) -> Gauge:
    """Return a gauge that has one value."""
    return Gauge(name, help_, [((), value)])


def counter(name: str, help_: str, rows: Iterable[Row], *labels: str) -> Counter:
    """Return a counter with labels."""
    return Counter(name, help_, list(rows), labels)


def count(name: str, help_: str, value: float) -> Counter:
    """Return a counter that has one value."""
    return Counter(name, help_, [((), value)])


def histogram(name: str, help_: str, found: Distribution) -> Histogram:
    """Return a distribution as it is now."""
    return Histogram(name, help_, tuple(found.bounds), tuple(found.counts), found.sum)


def build(name: str) -> Iterator[Gauge]:
    """Yield what runs: its version and Python's."""
    texts = __version__, platform.python_version()
    yield gauge(f"{name}_build_info", "What runs here; always 1.", [(texts, 1.0)], "version", "python")


def _filled(family: Metric, rows: list[Row]) -> Metric:
    """Put rows in, each once: of those that look the same the first, for Prometheus refuses two."""
    found: dict[tuple[str, ...], float] = {}
    for texts, value in rows:
        found.setdefault(tuple(as_line(text, _LONGEST) for text in texts), value)
    for labels, value in found.items():
        family.add_metric(labels, value)  # type: ignore[attr-defined]
    return family
