"""Watch the time of thousands of connections with one timer.

A connection only writes its `deadline`; moving it later costs nothing, because the wheel looks again when the
old time comes. Most deadlines are moved many times and reached never.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Phase(Enum):
    """What a connection waits for."""

    QUIET = "the first byte of a frame"
    FRAME = "the rest of a frame"
    ANSWER = "the service, or the client to read"


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a client has, one value for each sentence of docs/protocol.md on time."""

    frame: float = 30.0  # from a frame's first byte to its last
    step: float = 30.0  # from our last byte to the session's next frame
    session: float = 120.0
    idle: float = 300.0
    discard: float = 0.75  # to read what we said last; with the wheel's turn at most a second

    def waiting(self, phase: Phase) -> float:
        """Return how long a phase may last outside of a session."""
        if phase is Phase.FRAME:
            return self.frame
        return self.step if phase is Phase.ANSWER else self.idle


class Watched(Protocol):
    """What has a deadline: seconds of the loop's clock, and the wheel's slot that holds it (-1: none)."""

    deadline: float
    slot: int

    def expired(self) -> None:
        """Act on a deadline that has passed; it may be set anew."""


class Deadlines:
    """A wheel of slots, `resolution` seconds wide; a deadline is acted upon at most that much late."""

    def __init__(self, loop: asyncio.AbstractEventLoop, resolution: float = 0.25) -> None:
        self._loop = loop
        self._resolution = resolution
        self._slots: dict[int, set[Watched]] = {}
        self._turned = int(loop.time() / resolution)  # the last slot that was emptied
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, watched: Watched, deadline: float) -> None:
        """Set a deadline; only one that is earlier than the slot it is in costs more than the assignment."""
        watched.deadline = deadline
        slot = max(int(deadline / self._resolution), self._turned) + 1
        if watched.slot == -1 or slot < watched.slot:
            self.forget(watched)
            self._file(watched, slot)

    def forget(self, watched: Watched) -> None:
        """Watch it no longer."""
        slot = self._slots.get(watched.slot)
        if slot is not None:
            slot.discard(watched)
            if not slot:
                del self._slots[watched.slot]
        watched.slot = -1

    def stop(self) -> None:
        """Watch nothing any more."""
        self._slots.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _file(self, watched: Watched, slot: int) -> None:
        watched.slot = slot
        self._slots.setdefault(slot, set()).add(watched)
        if self._timer is None:
            self._turned = int(self._loop.time() / self._resolution)
            self._timer = self._loop.call_later(self._resolution, self._turn)

    def _turn(self) -> None:
        now = self._loop.time()
        last, self._turned = self._turned, int(now / self._resolution)
        for slot in range(last + 1, self._turned + 1):
            for watched in self._slots.pop(slot, ()):
                if watched.slot == slot:  # not forgotten, or moved, by one before it
                    self._look(watched, now)
        self._timer = self._loop.call_later(self._resolution, self._turn) if self._slots else None

    def _look(self, watched: Watched, now: float) -> None:
        watched.slot = -1
        if watched.deadline <= now:
            watched.expired()
        else:
            self._file(watched, int(watched.deadline / self._resolution) + 1)
