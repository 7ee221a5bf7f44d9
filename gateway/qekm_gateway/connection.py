"""One connection on the drives' port: bytes, TLS, time and the end of it; what is said is the translator's.

Lock-step: while the service works on a frame nothing further is parsed, and when more comes nothing more is
read.
"""

from __future__ import annotations

import asyncio
from typing import cast

from qekm.dkp.codes import Fault
from qekm.v1.serving_pb2 import Reply
from qekm_gateway.admission import name_of
from qekm_gateway.deadlines import Phase
from qekm_gateway.debug import Beginning, Own
from qekm_gateway.faults import CROWDED_OUT, LOST, MOVED, STALLED, STOPPING, TIMED_OUT, Ending, first_byte
from qekm_gateway.gateway import Gateway
from qekm_gateway.session import State
from qekm_gateway.wire import Wire, WireBroken, WireClosed

# Answers that a client may leave unread in our memory before its requests are no longer looked at.
_UNREAD = 32_768
# Frames that one connection may have answered in a row; then all others have their turn.
_BURST = 16


class Connection(asyncio.BufferedProtocol):
    """One client from accept to close."""

    __slots__ = (
        *("_gateway", "_host", "_over", "_paused", "_phase", "_resting", "_retiring", "_session_end"),
        *("_source", "_stalled", "_translator", "_transport", "_wire", "deadline", "door", "slot"),
    )

    def __init__(self, gateway: Gateway, door: object = None) -> None:
        """Take what is shared, and by which listener the client comes in."""
        self._gateway, self.door = gateway, door
        self._wire = Wire()
        self._host = self._source = ""
        self._phase = Phase.QUIET
        self._session_end = 0.0
        self._paused = self._stalled = self._resting = self._retiring = self._over = False
        self.deadline = 0.0
        self.slot = -1

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, or close at once if there is none."""
        self._transport = cast(asyncio.Transport, transport)
        self._host, self._source = name_of(transport.get_extra_info("peername"))
        gateway, client = self._gateway, (self._host, self._source)
        self._translator = gateway.translator(gateway.link, gateway.incidents, gateway.activity, *client)
        if gateway.draining or not gateway.admission.enter(self._host, self):
            self._over = True
            self._note("turned away: there are too many connections")
            self._transport.abort()
            return
        self._note("connected")
        self._transport.set_write_buffer_limits(high=_UNREAD)
        self._settle(moved=True)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where the next bytes go."""
        return self._gateway.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take bytes from the wire."""
        try:
            if not self._over:
                self._received(bytes(self._gateway.buffer[:nbytes]))
        except Exception as error:
            self._broken(error)

    def eof_received(self) -> None:
        """Count a client that sends no more as gone."""
        self._close(LOST)

    def pause_writing(self) -> None:
        """Look at no further frame until the client reads."""
        self._stalled = True

    def resume_writing(self) -> None:
        """Go on."""
        self._stalled = False
        self._guarded_advance()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up the place."""
        if not self._over:
            self._note("connection lost: %s", type(exc).__name__)
        self._gateway.deadlines.forget(self)
        self._over = True
        self._translator.end(LOST)
        self._gateway.admission.leave(self._host, self)

    # What the link, the deadlines, admission and the server call.

    def answered(self, reply: Reply | None) -> None:
        """Send the service's answer and look at what came meanwhile."""
        if self._over:
            return
        try:
            if reply is None:
                self._note("no answer from the service")
            self._send(self._translator.give(reply))
            if self._translator.session.state is State.STATUS:
                self._gateway.admission.served(self)
            if self._gateway.draining:
                self._close(STOPPING)
        except Exception as error:
            self._broken(error)
        self._guarded_advance(moved=True)

    def expired(self) -> None:
        """Close a connection on which nothing came in time."""
        try:
            if self._over:
                self._transport.abort()
            else:
                self._close(STALLED if self._stalled else TIMED_OUT)
        except Exception as error:
            self._broken(error)

    def leave(self) -> bool:
        """Make room for another connection, unless the service is at work for this one."""
        if self._translator.step:
            return False
        self._close(CROWDED_OUT)
        self._gateway.admission.leave(self._host, self)
        return True

    def drain(self) -> None:
        """Close as soon as the service has answered."""
        if not self._translator.step:
            self._close(STOPPING)

    def retire(self) -> None:
        """Close once no session is under way: the port is taken back. Who has just come may still speak."""
        self._retiring = True
        if self._idle and not self._over:
            self._settle(moved=True)

    # From bytes to answers.

    def _received(self, data: bytes) -> None:
        gateway = self._gateway
        try:
            self._wire.feed(data, gateway.certificate, gateway.tls_required)
        except Fault as fault:
            self._note("no frame: %s", Beginning(data))
            self._send(self._translator.refuse(fault))
            return
        self._advance()

    def _guarded_advance(self, moved: bool = False) -> None:
        try:
            self._advance(moved)
        except Exception as error:
            self._broken(error)

    def _advance(self, moved: bool = False) -> None:
        """Take frame after frame until one waits for the service, none is complete, or others are due."""
        burst = 0
        while not (self._over or self._stalled or self._resting or self._translator.step):
            raw = self._next_frame()
            if raw is None:
                break
            moved = True
            burst += 1
            if burst == _BURST:
                self._resting = True
                self._gateway.loop.call_soon(self._rested)
            answer = self._translator.take(raw, self)
            if answer:
                if self._gateway.debug.on:
                    self._note("answered by the gateway: %s", Own(answer))
                self._send(answer)
        if self._retiring and moved and self._idle:
            self._close(MOVED)
        if not self._over:
            self._settle(moved)

    def _rested(self) -> None:
        self._resting = False
        self._guarded_advance(moved=True)

    def _next_frame(self) -> bytes | None:
        try:
            raw = self._wire.next_frame()
        except Fault as fault:
            self._note("no frame: %s", fault.text)
            self._send(self._translator.refuse(fault))
            return None
        except WireClosed:
            self._close(LOST)
            return None
        except WireBroken:
            # Reported all the same; to the client only TLS can say something.
            self._note("what came is no TLS, or not TLS 1.3")
            self._gateway.activity.tls_failures += 1
            self._translator.refuse(first_byte(self._gateway.tls_required))
            self._transport.write(self._wire.outgoing())
            self._finish()
            return None
        if raw is None and (handshake := self._wire.outgoing()):
            self._transport.write(handshake)
        if self._gateway.debug.on and (agreed := self._wire.agreed()):
            self._note("TLS: %s", agreed)
        return raw

    def _send(self, data: bytes) -> None:
        if self._over:
            return
        self._transport.write(self._wire.seal(data))
        if self._translator.session.idle:
            self._session_end = 0.0
        if self._translator.over:
            self._finish()

    # Time and the end.

    @property
    def _idle(self) -> bool:
        held = self._translator.step or self._stalled or self._resting or self._wire.partial
        return self._translator.session.idle and not held

    def _note(self, text: str, *arguments: object) -> None:
        self._gateway.debug.note(self._source, text, *arguments)

    def _settle(self, moved: bool) -> None:
        """Set the deadline for what is waited for now; bytes that complete nothing do not move it."""
        if self._translator.step or self._stalled or self._resting:
            phase = Phase.ANSWER
            if not self._paused and self._wire.pending:
                self._paused = True
                self._transport.pause_reading()
        else:
            phase = Phase.FRAME if self._wire.partial else Phase.QUIET
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
        if moved or phase is not self._phase:
            now = self._gateway.loop.time()
            deadline = self._deadline(now, phase, moved)
            self._phase = phase
            self._gateway.deadlines.watch(self, deadline)

    def _deadline(self, now: float, phase: Phase, moved: bool) -> float:
        limits = self._gateway.limits
        if self._translator.session.idle:
            soon = self._retiring and phase is Phase.QUIET
            return now + (limits.discard if soon else limits.waiting(phase))
        self._session_end = self._session_end or now + limits.session
        deadline = min(self._session_end, now + limits.step)
        if phase is Phase.FRAME:
            return min(deadline if moved else self.deadline, now + limits.frame)
        return deadline

    def _close(self, ending: Ending) -> None:
        """End without a frame; what was written still goes out, for a while."""
        if self._over:
            return
        self._over = True
        self._note("closed: %s", ending.message)
        self._translator.end(ending)
        self._transport.write(self._wire.close())
        self._transport.close()
        self._linger()

    def _finish(self) -> None:
        """Say that nothing more comes and let the client read it: closing with bytes unread is a reset."""
        self._over = True
        self._note("closed after an error")
        self._transport.write(self._wire.close())
        self._transport.write_eof()
        self._transport.resume_reading()
        self._linger()

    def _linger(self) -> None:
        self._gateway.deadlines.watch(self, self._gateway.loop.time() + self._gateway.limits.discard)

    def _broken(self, error: Exception) -> None:
        """End the connection for a reason that nobody foresaw; the process goes on."""
        self._gateway.incidents.record(error)
        try:
            self._send(self._translator.fail())
            if not self._over:
                self._finish()
        except Exception as second:
            self._gateway.incidents.record(second)
            self._over = True
            self._transport.abort()
