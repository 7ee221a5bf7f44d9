"""The way to the service: one long stream of batches, opened again by itself whenever it ends.

While there is none every step is refused at once: a library then goes to its next key manager.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable
from functools import partial

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from grpc import aio

from qekm.dkp.codes import Code
from qekm.dkp.frame import Frame
from qekm.errors import QekmError, ServiceAway
from qekm.v1.serving_pb2 import (
    ConfigureCommand,
    ConfigureReport,
    DiagnoseCommand,
    DiagnoseReport,
    GatewayHello,
    Reply,
    ServeRequest,
    ServeResponse,
)
from qekm.v1.serving_pb2_grpc import ServingServiceStub
from qekm_gateway.batches import Batches, Late
from qekm_gateway.faults import LATE, Ending, Incidents
from qekm_gateway.reports import Reports
from qekm_gateway.translate import Waiter

_log = logging.getLogger(__name__)

CONNECT = 3.0  # seconds for a new stream
FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  # seconds between attempts
LINES_WAIT = 0.1  # seconds in which debug lines gather

Stream = aio.StreamStreamCall[ServeRequest, ServeResponse]
Configure = Callable[[ConfigureCommand, Callable[[ConfigureReport], None]], None]


class Link:
    """Steps out, replies in; connects again by itself from `start` to `close`."""

    def __init__(
        self,
        dial: Callable[[], aio.Channel],
        hello: Callable[[], GatewayHello],
        incidents: Incidents,
        diagnose: Callable[[DiagnoseCommand], None],
        configure: Configure,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._dial = dial
        self._hello = hello
        self._incidents = incidents
        self._diagnose, self._configure = diagnose, configure
        self._jitter = jitter
        self._loop = asyncio.get_running_loop()
        self._reports = Reports()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stream: Stream | None = None  # only while steps are taken
        self.streams = 0  # opened so far
        self.successor: Link | None = None  # takes what begins from now on
        self._heard = False  # something over the present stream
        self._opened = math.inf
        self._closing = False
        self._batches = Batches()
        self._timer: asyncio.TimerHandle | None = None
        self._release: asyncio.TimerHandle | None = None
        self._release_of_lines: asyncio.TimerHandle | None = None

    # What connections and the server call.

    @property
    def up(self) -> bool:
        """Tell whether steps are taken."""
        return self._stream is not None

    @property
    def newest(self) -> Link:
        """Return the link over which new sessions go: this one, or what took its place."""
        return self if self.successor is None else self.successor.newest

    def start(self) -> None:
        """Begin to connect."""
        self._task = self._loop.create_task(self._run())

    async def close(self, patience: float = 0.5) -> None:
        """Send what is still to be reported, for at most `patience` seconds, and end."""
        self._closing = True
        self._release_refusals()
        if self._task is not None:
            if self.up:
                await asyncio.wait({self._task}, timeout=patience)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for timer in (self._timer, self._release, self._release_of_lines):
            if timer is not None:
                timer.cancel()

    def submit(self, frame: Frame, source: str, waiter: Waiter) -> int:
        """Queue a frame as a step and return its id; ServiceAway without a stream; Fault EE2C."""
        if self._stream is None:
            raise ServiceAway("no stream to the service")
        now = self._loop.time()
        step_id = self._batches.submit(frame, source, waiter, now)
        if self._timer is None:
            self._schedule(now)
        if self._batches.ready:
            self._wake.set()
        return step_id

    def abandon(self, step_id: int) -> None:
        """Forget who waits for a step: its client is gone."""
        self._batches.abandon(step_id)

    def ended(self, session_id: int, source: str, ending: Ending) -> None:
        """Report the end of a session that the service may still think open."""
        self._reports.ended(session_id, source, ending)
        self._wake.set()

    def refused(self, host: str, code: Code, drive_serial: str) -> None:
        """Count a refusal outside of any session; the service hears of it within a second."""
        self._reports.refused(host, code, drive_serial)
        if self._release is None:
            self._release = self._loop.call_later(1.0, self._release_refusals)

    def diagnosed(self, report: DiagnoseReport) -> None:
        """Send the results of a diagnosis."""
        self._reports.diagnosed(report)
        self._wake.set()

    def noted(self, source: str, text: str) -> None:
        """Send a debug line, together with others; too many are dropped and counted."""
        self._reports.noted(source, text)
        if self._release_of_lines is None:
            self._release_of_lines = self._loop.call_later(LINES_WAIT, self._release_lines)

    # Connecting.

    async def _run(self) -> None:
        wait, told = FIRST_WAIT, ""
        while not self._closing:
            self._heard, self._opened = False, math.inf
            try:
                await self._converse()
                reason = "it ended the stream"
            except aio.AioRpcError as error:
                reason = f"{error.code().name}: {error.details()}"
            except QekmError as error:
                reason = error.message
            except TimeoutError:
                reason = "it does not answer"
            except asyncio.CancelledError:
                if self._task is None or self._task.cancelling():
                    raise
                reason = "it was silent for too long"
            except Exception as error:
                reason = f"internal error, incident {self._incidents.record(error)}"
            if self._heard or self._opened + LONGEST_WAIT < self._loop.time():
                wait, told = FIRST_WAIT, ""
            if reason != told and not self._closing:
                _log.warning("no stream to the service: %s", reason)
                told = reason
            await asyncio.sleep(wait * (0.5 + self._jitter() / 2))
            wait = min(wait * 2, LONGEST_WAIT)

    async def _converse(self) -> None:
        """Open one stream and carry steps until it ends."""
        async with self._dial() as channel:
            stream = ServingServiceStub(channel).Serve()
            try:
                async with asyncio.timeout(CONNECT):
                    await stream.write(ServeRequest(hello=self._hello()))
                self._stream, self._opened = stream, self._loop.time()
                self.streams += 1
                self._loop.call_later(1.0, self._tell, stream)
                writer = self._loop.create_task(self._write(stream))
                try:
                    await self._read(stream)
                finally:
                    writer.cancel()
                    await asyncio.gather(writer, return_exceptions=True)
            finally:
                self._fail_all()
                stream.cancel()

    def _tell(self, stream: Stream) -> None:
        """Log a stream that lasts: one that is refused looks like any other at first."""
        if self._stream is stream:
            _log.info("connected to the service")

    async def _read(self, stream: Stream) -> None:
        async for response in stream:
            self._heard = True
            for reply in response.replies:
                self._replied(reply)
            if self._batches.ready:
                self._wake.set()
            if response.HasField("diagnose"):
                self._diagnose(response.diagnose)
            if response.HasField("configure"):
                self._configure(response.configure, partial(self._configured, self.streams))

    def _configured(self, stream: int, report: ConfigureReport) -> None:
        """Send what came of a configure command; nobody waits for it on a later stream."""
        if self.up and stream == self.streams:
            self._reports.configured(report)
            self._wake.set()

    async def _write(self, stream: Stream) -> None:
        try:
            self._wake.set()
            while True:
                await self._wake.wait()
                self._wake.clear()
                while (request := self._next_request()) is not None:
                    await stream.write(request)
                if self._closing:
                    await stream.done_writing()
                    return
        except aio.AioRpcError:
            return  # the reader is told the same
        except Exception as error:
            self._incidents.record(error)
            stream.cancel()

    # Steps and replies.

    def _next_request(self) -> ServeRequest | None:
        steps = self._batches.next_steps(self._loop.time())
        if not steps and not self._reports.waiting:
            return None
        request = ServeRequest(steps=steps)
        self._reports.move_to(request)
        return request

    def _replied(self, reply: Reply) -> None:
        found = self._batches.replied(reply)
        if isinstance(found, Late):
            self.ended(found.session_id, found.source, LATE)
        elif found is not None:
            self._answer(found, reply)

    def _answer(self, waiter: Waiter, reply: Reply | None) -> None:
        try:
            waiter.answered(reply)
        except Exception as error:
            self._incidents.record(error)

    def _look(self) -> None:
        """Refuse the steps whose time is over; give up a stream that has been silent for too long."""
        now = self._loop.time()
        self._timer = None
        for waiter in self._batches.expire(now):
            self._answer(waiter, None)
        if self._stream is not None and self._batches.stalled(now):
            self._stream.cancel()
        self._schedule(now)

    def _schedule(self, now: float) -> None:
        when = self._batches.next_look(now)
        if when is not None and self._timer is None:
            self._timer = self._loop.call_at(when, self._look)

    def _fail_all(self) -> None:
        self._stream = None
        self._reports.stream_ended()
        for waiter in self._batches.clear():
            self._answer(waiter, None)

    def _release_refusals(self) -> None:
        self._release = None
        self._reports.release_refusals()
        self._wake.set()

    def _release_lines(self) -> None:
        self._release_of_lines = None
        self._reports.release_lines()
        self._wake.set()
