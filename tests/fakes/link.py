"""A link whose service is a function of the test's: the same small interface as qekm_gateway.link.Link."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from qekm.dkp.codes import Code, Fault, ask_of
from qekm.dkp.frame import Frame, build
from qekm.errors import ServiceAway
from qekm.rpc.frames import to_reply, to_step
from qekm.v1.serving_pb2 import Reply, Step
from qekm_gateway.faults import Ending
from qekm_gateway.translate import Waiter
from tests.dkp.material import GOOD

SESSION = 0xABCDEF0123456789


class Silent:
    """The service does not answer, and the link does not give up."""


class Lost:
    """The link gives up waiting."""


class Away:
    """There is no stream to the service."""


Answer = Frame | Fault | Reply | Silent | Lost | Away
Service = Callable[[Frame], Answer]


def serve(frame: Frame) -> Answer:
    """Answer like a service that finds everything good; one session id for all."""
    following = frame.sequence + 1
    if frame.type == 0x01:
        ask = ask_of(frame.get(0x0170) or b"")
        if ask is not None and ask.name == "NO_OPERATION":
            return build(0x86, 0, 2, ())
        return build(0x82, SESSION, 2, [(0x0120, GOOD[0x0120]), (0x0121, GOOD[0x0121])])
    if frame.type == 0x04:
        return build(0x86, SESSION, following, [(0x0190, GOOD[0x0190])])
    tlvs = [(tag, GOOD[tag]) for tag in (0x0109, 0x2010, 0x0190)]
    return build(0x84, SESSION, following, tlvs)


@dataclass
class FakeLink:
    """Answers by `service`; keeps what it was told."""

    service: Service = serve
    streams: int = 1
    steps: list[Step] = field(default_factory=list)
    abandoned: list[int] = field(default_factory=list)
    ends: list[tuple[int, str, Ending]] = field(default_factory=list)
    refusals: dict[tuple[str, Code, str], int] = field(default_factory=dict)
    waiters: dict[int, Waiter] = field(default_factory=dict)

    @property
    def newest(self) -> FakeLink:
        """Return itself: nothing takes its place."""
        return self

    def submit(self, frame: Frame, source: str, waiter: Waiter, traceparent: str = "") -> int:
        """Answer in the next turn of the loop."""
        answer = self.service(frame)
        if isinstance(answer, Away):
            raise ServiceAway("away")
        step_id = len(self.steps) + 1
        step = to_step(frame, step_id, source)
        self.steps.append(step)
        self.waiters[step_id] = waiter
        if not isinstance(answer, Silent):
            asyncio.get_running_loop().call_soon(self.answer, step_id, answer)
        return step_id

    def answer(self, step_id: int, answer: Answer) -> None:
        """Give a waiter its answer, unless it was abandoned."""
        waiter = self.waiters.pop(step_id, None)
        if waiter is None:
            return
        step = self.steps[step_id - 1]
        if isinstance(answer, Lost):
            waiter.answered(None)
        elif isinstance(answer, Reply):
            waiter.answered(answer)
        elif isinstance(answer, Fault):
            waiter.answered(to_reply(answer, step_id, step.session_id, step.sequence + 1))
        elif isinstance(answer, Frame):
            waiter.answered(to_reply(answer, step_id, answer.session_id, answer.sequence))

    def abandon(self, step_id: int) -> None:
        """Note that a client has gone."""
        self.abandoned.append(step_id)
        self.waiters.pop(step_id, None)

    def ended(self, session_id: int, source: str, ending: Ending) -> None:
        """Note the end of a session."""
        self.ends.append((session_id, source, ending))

    def refused(self, host: str, code: Code, drive_serial: str) -> None:
        """Count a refusal."""
        key = (host, code, drive_serial)
        self.refusals[key] = self.refusals.get(key, 0) + 1
