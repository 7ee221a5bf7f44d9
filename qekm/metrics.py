"""Figures for Prometheus, on a port of this machine only: counts, names of groups and servers, no secrets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from qekm.properties.listeners import METRICS_PORT

if TYPE_CHECKING:  # it takes a tenth of a second to import, and is not always wanted
    from prometheus_client.core import Metric

_log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
_PATIENCE_S = 5.0  # of who asks, for the event loop
Figures = Callable[[], "Iterable[Metric]"]


class Metrics:
    """Asks every source when somebody asks it, in the event loop in which they all live."""

    def __init__(self, port: int) -> None:
        """port: 0 for none."""
        self._wanted, self.port = port, 0
        self.sources: list[Figures] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: Any = None
        self._trouble = ""

    async def start(self) -> None:
        """Listen, if a port is wanted; one that is taken keeps nobody from serving drives."""
        if not self._wanted:
            return
        from prometheus_client import CollectorRegistry, start_http_server

        self._loop = asyncio.get_running_loop()
        registry = CollectorRegistry()
        registry.register(self)
        try:
            self._server, _ = start_http_server(self._wanted, LOOPBACK, registry)
        except OSError as error:
            self._trouble = f"no metrics: {LOOPBACK} port {self._wanted} ({METRICS_PORT}): {error.strerror}"
            return
        self.port = self._server.server_port

    async def close(self) -> None:
        """Listen no more."""
        server, self._server, self._loop = self._server, None, None
        if server is not None:
            await asyncio.to_thread(server.shutdown)
            server.server_close()

    def lines(self) -> list[str]:
        """Return what a status says."""
        return [self._trouble] if self._trouble else []

    def collect(self) -> Iterator[Metric]:
        """Yield all figures as they are now; from a thread of the server's."""
        loop = self._loop
        if loop is None:
            return
        reading = self._read()
        try:
            yield from asyncio.run_coroutine_threadsafe(reading, loop).result(_PATIENCE_S)
        except (TimeoutError, RuntimeError):
            with contextlib.suppress(RuntimeError):
                reading.close()

    async def _read(self) -> list[Metric]:
        found: list[Metric] = []
        for source in self.sources:
            try:
                found += source()
            except Exception:
                _log.exception("a part of the metrics failed")
        return found


def gauge(name: str, help_: str, rows: Iterable[tuple[tuple[str, ...], float]], *labels: str) -> Metric:
    """Return a figure that goes up and down: its values, each with the texts of its labels."""
    from prometheus_client.core import GaugeMetricFamily

    made = GaugeMetricFamily(name, help_, labels=labels)
    for texts, value in rows:
        made.add_metric(texts, value)
    return made


def counter(name: str, help_: str, value: float) -> Metric:
    """Return a figure that only goes up, until the next start; its name gets _total."""
    from prometheus_client.core import CounterMetricFamily

    made = CounterMetricFamily(name, help_)
    made.add_metric((), value)
    return made
