"""What may be said when: one drive's conversation as a table (docs/protocol.md), without a socket or a clock.

A session tells of every frame whether it may come now, who answers it, and what the answer leads to. It never
waits: between `receive` and `answer` or `refuse` the turn is the server's, and no further frame is read.
"""

from __future__ import annotations

from enum import Enum

from qekm.dkp.codes import Code, Fault
from qekm.dkp.frame import Frame, MessageType, build, error_frame
from qekm.dkp.messages import check_flags, check_missing


class State(Enum):
    """Whose turn it is: the protocol's DSK, DKI and STATUS wait for the client, KEY for the server."""

    IDLE = "no session"
    DSK = "waiting for message 02"
    DKI = "waiting for message 03"
    STATUS = "waiting for message 04"
    KEY = "waiting for the server"


# What a client may say in each state.
LEGAL: dict[State, frozenset[int]] = {
    State.IDLE: frozenset({MessageType.DRIVER_ERROR_NOTIFY, MessageType.PING}),
    State.DSK: frozenset({MessageType.QUERY_DSK_REPLY}),
    State.DKI: frozenset({MessageType.QUERY_DKI_REPLY}),
    State.STATUS: frozenset({MessageType.KEY_STATUS}),
    State.KEY: frozenset(),
}
# What the service may answer to each message, and the state that follows; an ERROR leads to IDLE.
ANSWERS: dict[tuple[int, int], State] = {
    (MessageType.DRIVER_ERROR_NOTIFY, MessageType.QUERY_DSK): State.DSK,
    (MessageType.DRIVER_ERROR_NOTIFY, MessageType.COMPLETE): State.IDLE,
    (MessageType.QUERY_DSK_REPLY, MessageType.QUERY_DKI): State.DKI,
    (MessageType.QUERY_DSK_REPLY, MessageType.SET_KEY): State.STATUS,
    (MessageType.QUERY_DSK_REPLY, MessageType.NO_KEY): State.STATUS,
    (MessageType.QUERY_DKI_REPLY, MessageType.SET_KEY): State.STATUS,
    (MessageType.KEY_STATUS, MessageType.COMPLETE): State.IDLE,
}
_PONG = build(MessageType.PONG, 0, 2, ())


class Session:
    """One conversation after another on one connection; `session_id` is 0 until the server gave one."""

    __slots__ = ("_asked", "sequence", "session_id", "state")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Be idle."""
        self.state = State.IDLE
        self.session_id = 0
        self.sequence = 0  # the server's own last one
        self._asked = 0

    @property
    def idle(self) -> bool:
        """Tell whether no session is open."""
        return self.state is State.IDLE

    def receive(self, frame: Frame) -> Frame | None:
        """Return the answer to a frame if the gateway has it, None if the service must be asked.

        Faults in the protocol's order: EE2D, EE23 for a missing TLV, EEE1; the caller goes on with `refuse`.
        """
        if frame.type not in LEGAL[self.state]:
            raise Fault(Code.EE2D, f"message {frame.type:02X} is not expected now")
        if frame.session_id != self.session_id or frame.sequence != self.sequence + 1:
            raise Fault(Code.EE2D, "session id or sequence is not the one expected")
        check_missing(frame)
        check_flags(frame)
        if frame.type == MessageType.PING:
            return _PONG
        self._asked = frame.type
        self.state = State.KEY
        return None

    def answer(self, frame: Frame) -> None:
        """Note the service's answer; Fault EE0F if it is none to what was asked, and then nothing changes."""
        state = ANSWERS.get((self._asked, frame.type))
        opens = frame.type == MessageType.QUERY_DSK
        known = frame.session_id != 0 if opens else frame.session_id == self.session_id
        if state is None or self.state is not State.KEY or not known or frame.sequence != self.sequence + 2:
            raise Fault(Code.EE0F)
        if state is State.IDLE:
            self.reset()
            return
        self.state, self.session_id, self.sequence = state, frame.session_id, frame.sequence

    def refuse(self, fault: Fault) -> Frame:
        """Return the ERROR that ends the session, with the header that the session gives it, and be idle."""
        frame = error_frame(fault, self.session_id, self.sequence + 2)
        self.reset()
        return frame
