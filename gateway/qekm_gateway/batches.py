"""Which steps go when, and who waits for which reply: the self-clocking window, without a stream or a clock.

At most WINDOW batches are in flight; what is submitted meanwhile forms the next one. No timer, so a lone
drive does not wait, and batches grow exactly when the service is the slower side.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from qekm.distribution import Distribution
from qekm.dkp.frame import Frame
from qekm.rpc.frames import to_step
from qekm.v1.serving_pb2 import Reply, Step
from qekm_gateway.translate import Waiter

WINDOW = 2  # batches in flight: the next is decided while the former is written to a slow disk
BATCH = 64  # steps in one
DEADLINE = 1.5  # seconds from submit to reply; a client goes to its next server after 2 (docs/protocol.md)
STALL = 5.0  # seconds after which a batch without all its replies means that the stream is dead


class _Batch:
    """One request in flight: since when, and how many replies it lacks."""

    __slots__ = ("missing", "sent")

    def __init__(self, sent: float) -> None:
        self.sent = sent
        self.missing = 0


class _Waiting:
    """A step without its reply: who waits, until when, and the batch it went in (None: not sent yet)."""

    __slots__ = ("batch", "deadline", "step", "waiter")

    def __init__(self, step: Step, waiter: Waiter, deadline: float) -> None:
        self.step = step
        self.waiter = waiter
        self.deadline = deadline
        self.batch: _Batch | None = None


class Late(NamedTuple):
    """A session that a reply opened when nobody waited for it any more."""

    session_id: int
    source: str


class Batches:
    """Steps waiting to be sent and steps in flight; times are seconds of any one clock."""

    def __init__(self, answers: Distribution) -> None:
        """answers: told how many seconds each took, or was waited for in vain."""
        self._answers = answers
        self._last_id = 0
        self._waiting: dict[int, _Waiting] = {}  # in order of deadline
        self._late: dict[int, _Waiting] = {}  # in flight, but nobody waits any more
        self._queue: deque[int] = deque()
        self._flight: dict[_Batch, None] = {}  # in order of sending

    @property
    def pending(self) -> int:
        """Return how many steps have no reply yet."""
        return len(self._waiting)

    @property
    def ready(self) -> bool:
        """Tell whether `next_steps` may have some."""
        return bool(self._queue) and len(self._flight) < WINDOW

    def submit(self, frame: Frame, source: str, waiter: Waiter, now: float, traceparent: str = "") -> int:
        """Queue a frame as a step and return its id; Fault EE2C as `to_step`."""
        step = to_step(frame, self._last_id + 1, source)
        if traceparent:
            step.traceparent = traceparent
        self._last_id += 1
        self._waiting[self._last_id] = _Waiting(step, waiter, now + DEADLINE)
        self._queue.append(self._last_id)
        return self._last_id

    def abandon(self, step_id: int) -> None:
        """Forget who waits for a step; one that is in flight still counts there until its reply comes."""
        waiting = self._waiting.pop(step_id, None)
        if waiting is not None and waiting.batch is not None:
            self._late[step_id] = waiting

    def next_steps(self, now: float) -> list[Step]:
        """Return the steps of the next batch; empty if there is none to send or the window is full."""
        steps: list[Step] = []
        if len(self._flight) >= WINDOW:
            return steps
        batch = _Batch(now)
        while self._queue and len(steps) < BATCH:
            waiting = self._waiting.get(self._queue.popleft())
            if waiting is not None:  # else it was abandoned
                waiting.batch = batch
                steps.append(waiting.step)
        if steps:
            batch.missing = len(steps)
            self._flight[batch] = None
        return steps

    def replied(self, reply: Reply, now: float) -> Waiter | Late | None:
        """Return who gets a reply, or the session that it opened for nobody, or None."""
        waiting = self._waiting.pop(reply.step_id, None)
        late = self._late.pop(reply.step_id, None) if waiting is None else None
        done = waiting or late
        if done is not None and done.batch is not None:
            done.batch.missing -= 1
            if not done.batch.missing:
                del self._flight[done.batch]
        if waiting is not None:
            self._answers.add(now - waiting.deadline + DEADLINE)
            return waiting.waiter
        if late is None or late.step.session_id or not reply.session_id or reply.HasField("error"):
            return None
        return Late(reply.session_id, late.step.source)

    def expire(self, now: float) -> list[Waiter]:
        """Abandon the steps whose time is over and return who waited for them."""
        expired = []
        for step_id, waiting in self._waiting.items():
            if waiting.deadline > now:
                break
            expired.append((step_id, waiting.waiter))
        for step_id, _ in expired:
            self._answers.add(DEADLINE)
            self.abandon(step_id)
        return [waiter for _, waiter in expired]

    def stalled(self, now: float) -> bool:
        """Tell whether the oldest batch lacks replies for too long."""
        oldest = next(iter(self._flight), None)
        return oldest is not None and oldest.sent + STALL <= now

    def next_look(self, now: float) -> float | None:
        """Return when `expire` or `stalled` may next have something to tell; None: nothing is under way."""
        if self._waiting:
            return next(iter(self._waiting.values())).deadline
        return now + DEADLINE if self._flight else None

    def clear(self) -> list[Waiter]:
        """Forget everything, because the stream ended, and return who waited."""
        waiters = [waiting.waiter for waiting in self._waiting.values()]
        for table in (self._waiting, self._late, self._queue, self._flight):
            table.clear()
        return waiters
