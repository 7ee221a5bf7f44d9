"""One stream to a service, opened again whenever it ends: at the next service, if there are several."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from typing import Protocol

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from grpc import aio

from qekm.errors import QekmError
from qekm.v1.serving_pb2 import GatewayHello, ServeRequest, ServeResponse
from qekm.v1.serving_pb2_grpc import ServingServiceStub
from qekm_gateway.faults import Incidents
from qekm_gateway.pulse import BEAT, Pulse
from qekm_gateway.services import LONGEST_WAIT, Service, Turn

_log = logging.getLogger(__name__)

CONNECT = 3.0  # seconds for a new stream
_MOST_TOLD = 64  # reasons; some name a time

Stream = aio.StreamStreamCall[ServeRequest, ServeResponse]


class Work(Protocol):
    """What goes over the stream."""

    def next_request(self) -> ServeRequest | None:
        """Return what is to be sent now, None for nothing."""

    def take(self, response: ServeResponse) -> None:
        """Take what the service sent."""

    def lost(self) -> None:
        """Take it that the stream ended, and with it whatever was to be answered."""


class Connecting:
    """Runs from `run` on until it is cancelled or `end` was called; `wake` has it look for what to send."""

    def __init__(
        self,
        services: Sequence[Service],
        turn: Turn,
        hello: Callable[[], GatewayHello],
        incidents: Incidents,
        work: Work,
    ) -> None:
        self._services, self._turn = services, turn
        self._hello, self._incidents, self._work = hello, incidents, work
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._stream: Stream | None = None  # only while steps are taken
        self._opened = math.inf
        self._why = ""  # the stream was given up
        self._asking = False  # for a sign of life
        self._closing = False
        self._told: set[tuple[str, str]] = set()  # services, and why there is no stream to them
        self.wake = asyncio.Event()
        self.streams = 0  # opened so far
        self.heard = False  # something over the present stream

    @property
    def up(self) -> bool:
        """Tell whether steps are taken."""
        return self._stream is not None

    @property
    def service(self) -> Service:
        """Return the service whose turn it is."""
        return self._services[self._turn.place]

    def start(self) -> None:
        """Begin to connect."""
        self._task = self._loop.create_task(self._run())

    async def close(self, patience: float) -> None:
        """Send what is still to be sent, for at most `patience` seconds, and end."""
        self._closing = True
        self.wake.set()
        if self._task is not None:
            if self.up:
                await asyncio.wait({self._task}, timeout=patience)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def give_up(self, why: str) -> None:
        """Leave the present stream, for a reason that the log is told."""
        if self._stream is not None:
            self._why = why
            self._stream.cancel()

    async def _run(self) -> None:
        while not self._closing:
            self.heard, self._opened, self._why = False, math.inf, ""
            service = self.service
            reason = await self._attempt(service)
            if self.heard or self._opened + LONGEST_WAIT < self._loop.time():
                self._turn.lasted()
                self._told.clear()
            if not self._closing:
                self._warn(service.name, reason)
            await asyncio.sleep(self._turn.pass_on())

    def _warn(self, service: str, reason: str) -> None:
        """Log a reason once until a stream lasts, for there is an attempt every few seconds."""
        if (service, reason) in self._told:
            return
        if len(self._told) >= _MOST_TOLD:
            self._told.clear()
        self._told.add((service, reason))
        _log.warning("no stream to the service (%s): %s", service, reason)

    async def _attempt(self, service: Service) -> str:
        """Hold a stream until it ends and return why it did."""
        try:
            await self._converse(service)
            return "it ended the stream"
        except aio.AioRpcError as error:
            return f"{error.code().name}: {error.details()}"
        except QekmError as error:
            return error.message
        except TimeoutError:
            return "it does not answer"
        except asyncio.CancelledError:
            if self._task is None or self._task.cancelling():
                raise
            return self._why or "the stream was cancelled"
        except Exception as error:
            return f"internal error, incident {self._incidents.record(error)}"

    async def _converse(self, service: Service) -> None:
        """Open one stream and carry steps until it ends."""
        async with service.dial() as channel:
            stream = ServingServiceStub(channel).Serve()
            try:
                hello = self._hello()
                hello.service = service.name
                async with asyncio.timeout(CONNECT):
                    await stream.write(ServeRequest(hello=hello))
                self._stream, self._opened = stream, self._loop.time()
                self.streams += 1
                self._loop.call_later(1.0, self._tell, stream, service)
                await self._carry(stream)
            finally:
                self._stream = None
                self._work.lost()
                stream.cancel()

    async def _carry(self, stream: Stream) -> None:
        pulse = Pulse()
        beside = [self._loop.create_task(each) for each in (self._write(stream), self._beat(pulse))]
        try:
            async for response in stream:
                self.heard = True
                pulse.heard(response.alive)
                self._work.take(response)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def _tell(self, stream: Stream, service: Service) -> None:
        """Log a stream that lasts: one that is refused looks like any other at first."""
        if self._stream is stream:
            _log.info("connected to the service (%s)", service.name)

    async def _write(self, stream: Stream) -> None:
        try:
            self.wake.set()
            while True:
                await self.wake.wait()
                self.wake.clear()
                while (request := self._next_request()) is not None:
                    await stream.write(request)
                if self._closing:
                    await stream.done_writing()
                    return
        except (aio.AioRpcError, asyncio.InvalidStateError):
            return  # it has ended, of which the reader is told
        except Exception as error:
            self._incidents.record(error)
            stream.cancel()

    async def _beat(self, pulse: Pulse) -> None:
        """Ask for a sign of life again and again; leave a service that gave one and gives none any more."""
        while True:
            await asyncio.sleep(BEAT)
            if pulse.beat():
                return self.give_up("it gives no sign of life")
            self._asking = True
            self.wake.set()

    def _next_request(self) -> ServeRequest | None:
        request = self._work.next_request()
        if self._asking:
            self._asking = False
            request = request or ServeRequest()
            request.alive = True
        return request
