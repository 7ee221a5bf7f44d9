"""What goes over the stream to a service: steps out, replies in, and reports; who waits for what.

While there is no stream every step is refused at once: a library then goes to its next key manager.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from functools import partial

from qekm.distribution import Distribution
from qekm.dkp.codes import Code
from qekm.dkp.frame import Frame
from qekm.errors import ServiceAway
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
from qekm_gateway.batches import Batches, Late
from qekm_gateway.connecting import Connecting
from qekm_gateway.faults import LATE, Ending, Incidents
from qekm_gateway.reports import Reports
from qekm_gateway.services import Service, Turn
from qekm_gateway.translate import Waiter

LINES_WAIT = 0.1  # seconds in which debug lines gather

Configure = Callable[[ConfigureCommand, Callable[[ConfigureReport], None]], None]


class Link:
    """Holds a stream to one of the services from `start` to `close`; the first of them is preferred."""

    def __init__(
        self,
        services: Sequence[Service],
        hello: Callable[[], GatewayHello],
        incidents: Incidents,
        diagnose: Callable[[DiagnoseCommand], None],
        configure: Configure,
        answers: Distribution,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._incidents = incidents
        self._diagnose, self._configure = diagnose, configure
        self._loop = asyncio.get_running_loop()
        self._reports = Reports()
        self._among = len(services)
        self._turn = Turn(self._among, jitter)
        self._connecting = Connecting(services, self._turn, hello, incidents, self)
        self._wake = self._connecting.wake
        self.successor: Link | None = None  # takes what begins from now on
        self._batches = Batches(answers)
        self._timer: asyncio.TimerHandle | None = None
        self._release: asyncio.TimerHandle | None = None
        self._release_of_lines: asyncio.TimerHandle | None = None

    # What connections and the server call.

    @property
    def up(self) -> bool:
        """Tell whether steps are taken."""
        return self._connecting.up

    @property
    def heard(self) -> bool:
        """Tell whether something came over the present stream."""
        return self._connecting.heard

    @property
    def streams(self) -> int:
        """Return how many streams were opened so far."""
        return self._connecting.streams

    @property
    def pending(self) -> int:
        """Return how many steps have no reply yet."""
        return self._batches.pending

    @property
    def service(self) -> Service:
        """Return the service that is used now, or tried."""
        return self._connecting.service

    @property
    def place(self) -> int:
        """Return how many services are preferred to that one."""
        return self._turn.place

    @property
    def newest(self) -> Link:
        """Return the link over which new sessions go: this one, or what took its place."""
        return self if self.successor is None else self.successor.newest

    def start(self, among: int | None = None) -> None:
        """Begin to connect to one of the services; of the first `among` only, until `widen` is called."""
        self._turn.count = among or self._among
        self._connecting.start()

    def widen(self) -> None:
        """Go round among all services from now on."""
        self._turn.count = self._among

    async def close(self, patience: float = 0.5) -> None:
        """Send what is still to be reported, for at most `patience` seconds, and end."""
        self._release_refusals()
        await self._connecting.close(patience)
        for timer in (self._timer, self._release, self._release_of_lines):
            if timer is not None:
                timer.cancel()

    def submit(self, frame: Frame, source: str, waiter: Waiter, traceparent: str = "") -> int:
        """Queue a frame as a step and return its id; ServiceAway without a stream; Fault EE2C."""
        if not self.up:
            raise ServiceAway("no stream to the service")
        now = self._loop.time()
        step_id = self._batches.submit(frame, source, waiter, now, traceparent)
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

    # What goes over the stream (qekm_gateway.connecting.Work).

    def next_request(self) -> ServeRequest | None:
        """Return the next batch of steps and what is to be reported; None if there is nothing to send."""
        steps = self._batches.next_steps(self._loop.time())
        if not steps and not self._reports.waiting:
            return None
        request = ServeRequest(steps=steps)
        self._reports.move_to(request)
        return request

    def take(self, response: ServeResponse) -> None:
        """Hand replies and commands to whom they are for."""
        now = self._loop.time()
        for reply in response.replies:
            self._replied(reply, now)
        if self._batches.ready:
            self._wake.set()
        if response.HasField("diagnose"):
            self._diagnose(response.diagnose)
        if response.HasField("configure"):
            self._configure(response.configure, partial(self._configured, self.streams))

    def lost(self) -> None:
        """Refuse whatever waits: the stream has ended."""
        self._reports.stream_ended()
        for waiter in self._batches.clear():
            self._answer(waiter, None)

    def _configured(self, stream: int, report: ConfigureReport) -> None:
        """Send what came of a configure command; nobody waits for it on a later stream."""
        if self.up and stream == self.streams:
            self._reports.configured(report)
            self._wake.set()

    def _replied(self, reply: Reply, now: float) -> None:
        found = self._batches.replied(reply, now)
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
        if self._batches.stalled(now):
            self._connecting.give_up("it was silent for too long")
        self._schedule(now)

    def _schedule(self, now: float) -> None:
        when = self._batches.next_look(now)
        if when is not None and self._timer is None:
            self._timer = self._loop.call_at(when, self._look)

    def _release_refusals(self) -> None:
        self._release = None
        self._reports.release_refusals()
        self._wake.set()

    def _release_lines(self) -> None:
        self._release_of_lines = None
        self._reports.release_lines()
        self._wake.set()
