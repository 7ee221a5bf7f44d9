"""Spans of the gateway: a drive's exchange, and in it each step from the frame to its answer.

Nothing here is loaded unless traces are wanted. The step takes its span's name along to the service.
"""

from __future__ import annotations

from typing import Any

from opentelemetry.trace import Span, Status, StatusCode

from qekm.dkp.codes import Fault
from qekm.dkp.frame import Frame, MessageType, Tag
from qekm.tracing import Tracing, traceparent_of
from qekm.v1.serving_pb2 import Reply
from qekm_gateway.faults import Ending
from qekm_gateway.translate import Translator, Waiter


class TracedTranslator(Translator):
    """A translator whose exchanges are seen; what a frame holds is not, but for the drive's serial."""

    __slots__ = ("_exchange", "_span", "_tracing")

    def __init__(self, tracing: Tracing, *given: Any) -> None:
        super().__init__(*given)
        self._tracing = tracing
        self._exchange: Span | None = None
        self._span: Span | None = None  # of the step under way

    def take(self, raw: bytes, waiter: Waiter) -> bytes:
        """Return the answer to one raw frame, as a translator does."""
        answer = super().take(raw, waiter)
        if not self.step:
            self._settle()
        return answer

    def give(self, reply: Reply | None) -> bytes:
        """Return the frame for the client, as a translator does."""
        if self._span is not None:
            self._span.set_attribute("qekm.answer", (reply and reply.WhichOneof("frame")) or "none")
        answer = super().give(reply)
        self._settle()
        return answer

    def end(self, ending: Ending) -> None:
        """Report that the connection ends, as a translator does."""
        super().end(ending)
        if self._exchange is not None:
            self._exchange.set_status(Status(StatusCode.ERROR, ending.message))
        self._settle()

    def _submit(self, frame: Frame, waiter: Waiter) -> int:
        if self._exchange is None:
            serial = (frame.get(Tag.DRIVE_SERIAL) or b"").decode(errors="replace")
            self._exchange = self._tracing.begin("exchange", drive_serial=serial, source=self._source)
        message = MessageType(frame.type).name.lower()
        self._span = self._tracing.begin("step", self._exchange, message=message)
        return self._link.submit(frame, self._source, waiter, traceparent_of(self._span))

    def _error(self, fault: Fault) -> bytes:
        if self._exchange is not None:
            self._exchange.set_attribute("qekm.error", fault.code.name)
            self._exchange.set_status(Status(StatusCode.ERROR))
        return super()._error(fault)

    def _settle(self) -> None:
        """End the span of a step that is over, and of the exchange if it is."""
        if self._span is not None:
            self._span.end()
        self._span = None
        if self.session.idle and self._exchange is not None:
            self._exchange.end()
            self._exchange = None
