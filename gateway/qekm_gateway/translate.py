"""Turn a client's frames into steps for the service, and its replies into frames; answer PING alone.

One translator per connection: bytes in, bytes out. What it refuses by itself it reports, for the trail.
"""

from __future__ import annotations

from typing import Protocol

from qekm.dkp.codes import Code, Fault
from qekm.dkp.frame import Frame, MessageType, Tag, parse, serialize
from qekm.errors import ServiceAway
from qekm.rpc.frames import fault_of_error, frame_of_reply
from qekm.v1.serving_pb2 import Reply
from qekm_gateway.activity import Activity
from qekm_gateway.faults import Ending, Incidents, internal
from qekm_gateway.session import Session

# docs/protocol.md, section 6: a client that is wrong this often is no client.
MAXIMUM_ERRORS = 16


class Waiter(Protocol):
    """Who submitted a step."""

    def answered(self, reply: Reply | None) -> None:
        """Take the reply; None if there will be none."""


class Link(Protocol):
    """The way to the service."""

    @property
    def streams(self) -> int:
        """Return how many streams were opened so far."""

    @property
    def newest(self) -> Link:
        """Return the link over which new sessions go: this one, or what took its place."""

    def submit(self, frame: Frame, source: str, waiter: Waiter, traceparent: str = "") -> int:
        """Send a frame on and return the step's id; ServiceAway; Fault EE2C for a malformed list."""

    def abandon(self, step_id: int) -> None:
        """Forget who waits for a step: its client is gone."""

    def ended(self, session_id: int, source: str, ending: Ending) -> None:
        """Report the end of a session that the service may still think open."""

    def refused(self, host: str, code: Code, drive_serial: str) -> None:
        """Report a refusal outside of any session."""


class Translator:
    """The conversation on one connection; `source` is the client's host:port.

    `step` is the step under way, 0 for none; `over` tells that the connection has to end after what was last
    returned.
    """

    __slots__ = (
        *("_activity", "_errors", "_host", "_incidents", "_link", "_source", "_stream"),
        *("over", "session", "step"),
    )

    def __init__(self, link: Link, incidents: Incidents, activity: Activity, host: str, source: str) -> None:
        self._link = link
        self._incidents = incidents
        self._activity = activity
        self._host = host
        self._source = source
        self._errors = 0
        self._stream = 0
        self.session = Session()
        self.step = 0
        self.over = False

    def take(self, raw: bytes, waiter: Waiter) -> bytes:
        """Return the answer to one raw frame; empty if the service was asked, and `waiter` gets its reply."""
        frame = None
        try:
            frame = parse(raw)
            self._activity.frames_in[frame.type] += 1
            answer = self.session.receive(frame)
            if answer is not None:
                return self._serialize(answer)
            self._check_stream(frame)
            self.step = self._submit(frame, waiter)
        except Fault as fault:
            return self.refuse(fault, _claimed_serial(frame))
        except ServiceAway:
            return self.refuse(internal(), _claimed_serial(frame))
        return b""

    def give(self, reply: Reply | None) -> bytes:
        """Return the frame for the client; None stands for a service that does not answer."""
        self.step = 0
        if reply is None:
            return self.fail()
        try:
            if reply.HasField("error"):
                return self._error(fault_of_error(reply.error))
            frame = frame_of_reply(reply)
            self.session.answer(frame)
            return self._serialize(frame)
        except Fault as fault:  # the service broke the protocol
            self._incidents.record(fault)
            return self.fail()

    def refuse(self, fault: Fault, drive_serial: str = "") -> bytes:
        """Return the ERROR for a refusal by the gateway itself and report it."""
        self._activity.refusals[fault.code] += 1
        if self.session.session_id:
            self._link.ended(self.session.session_id, self._source, Ending(fault.code, fault.text))
        else:
            self._link.newest.refused(self._host, fault.code, drive_serial)
        return self._error(fault)

    def fail(self) -> bytes:
        """Return the ERROR for what nobody foresaw and report it."""
        return self.refuse(internal())

    def end(self, ending: Ending) -> None:
        """Report that the connection ends, if something was under way."""
        if self.step:
            self._link.abandon(self.step)
            self.step = 0
        if self.session.session_id:
            self._link.ended(self.session.session_id, self._source, ending)
        self.session.reset()

    def _submit(self, frame: Frame, waiter: Waiter) -> int:
        return self._link.submit(frame, self._source, waiter)

    def _check_stream(self, frame: Frame) -> None:
        """Raise ServiceAway for a session that began on another stream: the service has ended it.

        Asked about it, the service would say EE2D, after which no library tries again.
        """
        if frame.type == MessageType.DRIVER_ERROR_NOTIFY:
            self._link = self._link.newest
            self._stream = self._link.streams
        elif self._stream != self._link.streams:
            raise ServiceAway("the stream on which the session began has ended")

    def _error(self, fault: Fault) -> bytes:
        self._errors += 1
        self.over = fault.code is Code.EE23 or self._errors >= MAXIMUM_ERRORS
        self._activity.dropped += self.over
        return self._serialize(self.session.refuse(fault))

    def _serialize(self, frame: Frame) -> bytes:
        self._activity.frames_out[frame.type] += 1
        return serialize(frame)


def _claimed_serial(frame: Frame | None) -> str:
    """Return the serial that a first frame claims, for the audit trail."""
    if frame is None or frame.type != MessageType.DRIVER_ERROR_NOTIFY:
        return ""
    return (frame.get(Tag.DRIVE_SERIAL) or b"").decode()
