"""ServingService: a gateway's stream of steps, decided in batches and answered after their commit.

The hot path. One turn of the event loop decides a batch; all it changes goes to the store in one call; the
answers leave when they are durable. Meanwhile the next batch is decided: at most WINDOW are under way.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from qekm.api.gateways import Answer, Commit, Gateways, Link, Unit
from qekm.api.guard import caller
from qekm.awaiting import Awaiting, gives_new
from qekm.clock import steady_s
from qekm.dkp.codes import Code, Fault
from qekm.dkp.frame import Frame
from qekm.errors import BadArgument, PeerAway, QekmError, StoreFailed
from qekm.failpoints import failpoint
from qekm.logs.debugging import Tap
from qekm.model import Change
from qekm.rpc.frames import frame_of_step, to_reply
from qekm.serving import Decision, Serving
from qekm.serving.faults import fault_of
from qekm.source import network_of
from qekm.text import as_line
from qekm.v1.serving_pb2 import (
    ConfigureReport,
    DebugLine,
    GatewayHello,
    RefusalReport,
    Reply,
    ServeRequest,
    ServeResponse,
    SessionEnd,
    Step,
)
from qekm.v1.serving_pb2_grpc import ServingServiceServicer

_log = logging.getLogger(__name__)

WINDOW = 2  # batches under way: the next is decided while the former is written
MOST_STEPS = 64  # a batch
MOST_OTHERS = 1_024  # ends and reports a message
_CODES = frozenset(map(int, Code))
_ADDRESSES, _TEXT, _SERIAL = 64, 200, 16  # what is kept of a gateway's texts


class Submits(Protocol):
    """What makes units of changes durable together (qekm.store.Store)."""

    def submit(self, units: Sequence[Unit]) -> Commit:
        """Return a future with one result per unit: None, or why it was not committed."""


class ServingServicer(ServingServiceServicer):
    """One Link per stream: a reader task decides, the call itself answers."""

    def __init__(
        self,
        serving: Serving,
        store: Submits,
        gateways: Gateways,
        now_us: Callable[[], int],
        tap: Tap | None = None,
        awaiting: Awaiting | None = None,
        answered: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        """awaiting: what a new key's answer waits for, None where there are no peers. answered: told how many
        seconds a batch of frames took.
        """
        self._serving, self._tap, self._answered = serving, tap or Tap(serving), answered
        self._store = store
        self._gateways = gateways
        self._now_us = now_us
        self._awaiting = awaiting

    async def Serve(  # type: ignore[override]  # the types know only generators; writing saves a task switch
        self, request_iterator: AsyncIterator[ServeRequest], context: Any
    ) -> None:
        """Serve one gateway until it goes, or is told to; BadArgument for what no gateway of ours sends."""
        first = await anext(request_iterator, None)
        if first is None:
            return
        identity = caller()
        link = Link(identity.name, _checked(first), self._now_us(), WINDOW)
        link.reader = asyncio.create_task(self._read(link, first, request_iterator))
        self._gateways.join(link)
        _log.info("gateway %s connected, version %s", link.name, link.hello.version)
        try:
            while (answer := await link.outbox.get()) is not None:
                if answer.commit is not None:
                    # Shielded: when the call is cancelled the commit goes on, and so do others' in it.
                    self._settle(link, answer, await asyncio.shield(answer.commit))
                    if answer.new:
                        await self._await(link, answer)
                if answer.begun_s:
                    self._answered(steady_s() - answer.begun_s)
                failpoint("answer.before")
                await context.write(answer.response)
                if answer.held:
                    link.window.release()
        finally:
            link.reader.cancel()
            self._gateways.part(link)
            self._submit([self._serving.leave(link.id)])
            _log.info("gateway %s disconnected", link.name)
        if link.reason is not None:
            raise link.reason

    async def _read(
        self, link: Link, batch: ServeRequest | None, batches: AsyncIterator[ServeRequest]
    ) -> None:
        """Decide batch after batch; the end of the stream and every error end the link."""
        try:
            while batch is not None:
                await link.window.acquire()
                self._take(link, batch)
                batch = await anext(batches, None)
            link.end()
        except Exception as error:
            link.end(error)

    def _take(self, link: Link, batch: ServeRequest) -> None:
        """Decide a batch, hand its changes to the store and its answer to the outbox. Nothing here waits."""
        begun_s = steady_s()
        others = len(batch.session_ends) + len(batch.refusals) + len(batch.debug_lines)
        if len(batch.steps) > MOST_STEPS or others > MOST_OTHERS:
            raise BadArgument(f"a batch has at most {MOST_STEPS} steps", field="steps")
        response = ServeResponse(alive=batch.alive)
        units: list[Unit] = []
        owners: list[int] = []
        made = self._decide_all(link, batch.steps)
        response.replies.extend(_reply(step, made[place]) for place, step in enumerate(batch.steps))
        for place, decision in made.items():
            if decision.changes:
                units.append(decision.changes)
                owners.append(place)
        is_awaited = self._awaiting is not None and self._awaiting.on
        new = [place for place, unit in enumerate(units) if gives_new(unit)] if is_awaited else ()
        units += self._note(link, batch.session_ends, batch.refusals)
        if batch.HasField("diagnose_report"):
            self._gateways.report(link, batch.diagnose_report)
        if batch.HasField("configure_report"):
            self._gateways.configured(link, _cleaned(batch.configure_report))
        if batch.debug_lines:
            lines = [
                DebugLine(source=as_line(each.source, _TEXT), text=as_line(each.text, _TEXT))
                for each in batch.debug_lines
            ]
            self._gateways.noted(link, lines)
        commit = self._store.submit(units) if units else None
        if response.replies:
            link.outbox.put_nowait(Answer(response, commit, owners, True, new, begun_s))
            return
        if commit is not None:
            commit.add_done_callback(_report)
        if batch.alive:  # behind what came before: a service whose disk hangs gives no sign of life
            link.outbox.put_nowait(Answer(response, held=True))
        else:
            link.window.release()

    def _decide_all(self, link: Link, steps: Sequence[Step]) -> dict[int, Decision]:
        """Return what becomes of each step of a batch, by its place, in the order in which it was decided.

        All are read first, then decided, those of one kind together, last messages first: what that needs
        of the processor's caches is there from the second one on (docs/decisions/0010). No two are of one
        session.
        """
        frames = [_frame_of(step) for step in steps]
        order = sorted(range(len(frames)), key=lambda place: _kind_of(frames[place]), reverse=True)
        return {place: self._decide(link, steps[place], frames[place]) for place in order}

    def _decide(self, link: Link, step: Step, frame: Frame | Exception) -> Decision:
        """Return what becomes of one step."""
        try:
            if isinstance(frame, Exception):
                raise frame
            return self._tap.decide(frame, step.source, link.id)
        except Fault as fault:  # a step that no frame makes
            return Decision(fault, (), step.session_id, step.sequence + 1)
        except Exception:
            _log.exception("incident %s in a step of gateway %s", os.urandom(4).hex(), link.name)
            changes = self._end(link, step.session_id)
            return Decision(Fault(Code.EE0F), changes, step.session_id, step.sequence + 1)

    def _note(
        self, link: Link, ends: Sequence[SessionEnd], refusals: Sequence[RefusalReport]
    ) -> list[Sequence[Change]]:
        """Return units for sessions that ended at the gateway and for what it refused by itself."""
        units: list[Sequence[Change]]
        units = [
            self._end(link, end.session_id, end.code and _code(end.code), as_line(end.message, _TEXT))
            for end in ends
        ]
        now_us = self._now_us()
        for refusal in refusals:
            source, serial = network_of(refusal.source), as_line(refusal.drive_serial, _SERIAL)
            code, count = f"{_code(refusal.code):04X}", max(1, refusal.count)
            message = f"refused by gateway {link.name}"
            units.append(self._serving.turn_away(now_us, source, code, message, serial, count))
        return [unit for unit in units if unit]

    def _settle(self, link: Link, answer: Answer, results: Sequence[QekmError | None]) -> None:
        """Put EE0F in place of the replies whose units were not committed, and end their sessions.

        The end of a session that was given a key makes the key SUSPECT: memory never gives it out again.
        """
        for place, error in enumerate(results):
            if error is None:
                continue
            if isinstance(error, StoreFailed):
                raise error  # nothing of this batch is durable, and nothing will be
            if place >= len(answer.owners):
                continue  # no reply waits for it, and the store has logged it
            reply = answer.response.replies[answer.owners[place]]
            self._refuse(link, reply, Fault(Code.EE0F))

    async def _await(self, link: Link, answer: Answer) -> None:
        """Let new keys leave once a peer knows of them; if it must and does not, refuse them."""
        assert self._awaiting is not None
        if not await self._awaiting.may_leave():
            fault = fault_of(PeerAway("no other server has this key's record: peers.strict=on"))
            for place in answer.new:
                self._refuse(link, answer.response.replies[answer.owners[place]], fault)

    def _refuse(self, link: Link, reply: Reply, fault: Fault) -> None:
        """Put an error in the place of a reply, and end its session."""
        message = fault.text or "internal error"
        self._submit([self._end(link, reply.session_id, int(fault.code), message)])
        reply.CopyFrom(to_reply(fault, reply.step_id, reply.session_id, reply.sequence))

    def _end(
        self, link: Link, session_id: int, code: int = Code.EE0F, message: str = "internal error"
    ) -> tuple[Change, ...]:
        return self._serving.end(session_id, code, message, link.id)

    def _submit(self, units: Sequence[Unit]) -> None:
        """Commit what no reply waits for."""
        units = [unit for unit in units if unit]
        if units:
            self._store.submit(units).add_done_callback(_report)


def _frame_of(step: Step) -> Frame | Exception:
    """Return the frame that a step carries, or why it carries none."""
    try:
        return frame_of_step(step)
    except Exception as error:
        return error


def _kind_of(frame: Frame | Exception) -> int:
    return 0 if isinstance(frame, Exception) else frame.type


def _reply(step: Step, made: Decision) -> Reply:
    return to_reply(made.reply, step.step_id, made.session_id, made.sequence & 0xFFFFFFFF)


def _checked(first: ServeRequest) -> GatewayHello:
    hello = first.hello
    if not first.HasField("hello"):
        raise BadArgument("the first message of a stream carries hello", field="hello")
    texts = (hello.version, *hello.addresses)
    if len(hello.addresses) > _ADDRESSES or any(text != as_line(text, _TEXT) for text in texts):
        raise BadArgument("hello has addresses that no gateway has", field="hello.addresses")
    return hello


def _cleaned(report: ConfigureReport) -> ConfigureReport:
    """Return a gateway's report as people may read it."""
    return ConfigureReport(
        command_id=report.command_id,
        error=as_line(report.error, _TEXT),
        reason=as_line(report.reason, _TEXT),
        addresses=(as_line(each, _TEXT) for each in report.addresses[:_ADDRESSES]),
    )


def _code(code: int) -> int:
    """Return a gateway's code; EE0F for one that does not exist: each is counted apart."""
    return code if code in _CODES else int(Code.EE0F)


def _report(commit: Commit) -> None:
    """Log what was not committed and nobody waits for; the store has told of its own failure already."""
    for error in () if commit.cancelled() else commit.result():
        if error is not None:
            _log.error("a record of a gateway's stream was not written: %s", error.message)
