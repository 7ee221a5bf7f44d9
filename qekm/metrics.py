"""Figures for Prometheus, on a port of this machine only: counts, names of groups and servers, no secrets.

Whoever asks waits in a thread of his own. What lives in the event loop is read there, in steps of a
millisecond or two between which drives are served; what the disk knows is read in the thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from qekm.deadline import Deadline
from qekm.families import Family
from qekm.properties.listeners import METRICS_PORT

if TYPE_CHECKING:  # it takes a tenth of a second to import, and is not always wanted
    from prometheus_client.core import Metric

_log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
MOST_ASKING = 4  # at a time; another one is turned away
_PATIENCE_S = 8.0  # of who asks, for the event loop; Prometheus has 10
_REST_S = 0.001  # after each step, for drives: a conversation takes several turns of the loop
_SILENCE_S = 10.0  # of who asks, before he is given up
_REQUEST_S = 5.0  # for all of a request, or few that are slow would keep everybody out
Figures = Callable[[], Iterable[Family | None]]
"""Returns families; a None among them lets drives be served before it goes on."""


class Metrics:
    """Asks every source when somebody asks it: `sources` in the event loop, `disks` in a thread."""

    def __init__(self, port: int, name: str = METRICS_PORT) -> None:
        """port: 0 for none. name: of the property that says so."""
        self._wanted, self._name, self.port = port, name, 0
        self.sources: list[Figures] = []
        self.disks: list[Figures] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: _Server | None = None
        self._trouble = ""

    async def start(self) -> None:
        """Listen, if a port is wanted; one that is taken keeps nobody from serving drives."""
        if not self._wanted:
            return
        from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app

        registry = CollectorRegistry()
        registry.register(self)
        ProcessCollector(registry=registry)
        self._loop = asyncio.get_running_loop()
        try:
            server = await asyncio.to_thread(_Server, (LOOPBACK, self._wanted), _Handler)
        except OSError as error:
            self._trouble = f"no metrics: {LOOPBACK} port {self._wanted} ({self._name}): {error.strerror}"
            return
        server.set_app(make_wsgi_app(registry))
        self._server, self.port = server, server.server_port
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()

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
        found: list[Family] = []
        self._hear(loop, found)
        for source in self.disks:
            found += filter(None, _tried(source))
        for family in found:
            yield family.metric()

    def _hear(self, loop: asyncio.AbstractEventLoop, found: list[Family]) -> None:
        """Have the loop's figures put into a list; of one that is too late those that are there by then."""
        reading = self._read(found.append)
        try:
            future = asyncio.run_coroutine_threadsafe(reading, loop)
        except RuntimeError:  # it is closed
            reading.close()
            return
        with contextlib.suppress(TimeoutError, CancelledError):
            future.result(_PATIENCE_S)
        future.cancel()

    async def _read(self, put: Callable[[Family], None]) -> None:
        for source in self.sources:
            for family in _tried(source):
                if family is not None:
                    put(family)
                await asyncio.sleep(_REST_S)


def _tried(source: Figures) -> Iterator[Family | None]:
    """Yield what a source has; one that fails keeps no other from being told."""
    try:
        yield from source()
    except Exception:
        _log.exception("a part of the metrics failed")


class _Handler(WSGIRequestHandler):
    """One who asks; nothing of it is logged."""

    timeout = _SILENCE_S

    def handle(self) -> None:
        """Answer one request that comes in time."""
        with Deadline(_REQUEST_S) as self._deadline:
            self._deadline.watch(self.connection)
            super().handle()

    def parse_request(self) -> bool:
        """Read the rest of it; the answer may take longer."""
        try:
            return super().parse_request()
        finally:
            self._deadline.close()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each who asks, and few of them."""

    daemon_threads, block_on_close = True, False

    def __init__(self, *arguments: Any) -> None:
        self._places = threading.BoundedSemaphore(MOST_ASKING)
        super().__init__(*arguments)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Turn one more away."""
        return self._places.acquire(blocking=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a thread; if there is none to be had, the place is free again."""
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, and give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Think nothing of one who has gone."""
