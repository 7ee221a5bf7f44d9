"""Hand things to a receiver that may be slow, full or away, and never make the giver wait for it.

A bounded queue and a thread. What the receiver does not take it is offered again; what there is no room for
meanwhile is lost, counted, and told of when the receiver is there again.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

_log = logging.getLogger(__name__)

MOST = 8_192  # that wait
BATCH = 64  # handed over at once
REST_S = 0.000_2
"""What a receiver sleeps every half millisecond, or else the event loop waits 5 ms for each of its turns."""
PATIENCE_S = 1.0  # at the end, for what waits
WAITS_S = 0.2, 5.0  # between two attempts: the first time, and at most
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Receiver(Protocol[T_contra]):
    """What takes things, in the courier's thread; OSError: not now, and the same ones come again."""

    def take(self, items: Sequence[T_contra], /) -> None:
        """Take all of them."""

    def missed(self, count: int, /) -> None:
        """Take note that so many were lost since the last ones."""

    def close(self) -> None:
        """Let go of what is open."""


class Courier(Generic[T]):
    """One receiver's queue and thread, from `start` to `close`; `give` may be called from any thread.

    trouble: why the receiver takes nothing at present, in words; empty while it does.
    """

    def __init__(
        self,
        name: str,
        receiver: Receiver[T],
        *,
        most: int = MOST,
        batch: int = BATCH,
        waits_s: tuple[float, float] = WAITS_S,
    ) -> None:
        self.name, self.trouble = name, ""
        self._receiver, self._most, self._batch, self._waits_s = receiver, most, batch, waits_s
        self._queue: deque[T] = deque()
        self._lost = 0
        self._lock = threading.Lock()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"courier: {name}", daemon=True)

    def start(self) -> None:
        """Begin to hand over."""
        self._thread.start()

    def give(self, item: T) -> None:
        """Queue a thing, or count it as lost; returns at once."""
        with self._lock:
            if len(self._queue) < self._most:
                self._queue.append(item)
            else:
                self._lost += 1
        if not self._wake.is_set():
            self._wake.set()

    def close(self, patience_s: float = PATIENCE_S) -> None:
        """Hand over what waits, for at most so long, and end."""
        self._closing.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(patience_s)

    def _run(self) -> None:
        first_s, longest_s = self._waits_s
        wait_s = first_s
        while not (self._closing.is_set() and not self._waiting):
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                if self._deliver():
                    wait_s = first_s
                elif self._closing.wait(wait_s):
                    self._receiver.close()
                    return
                else:
                    wait_s = min(wait_s * 2, longest_s)
        self._receiver.close()

    @property
    def _waiting(self) -> bool:
        return bool(self._queue or self._lost)

    def _deliver(self) -> bool:
        """Hand over one batch, or tell of what was lost behind the last one; False if it was not taken."""
        items, lost = list(islice(self._queue, self._batch)), self._lost
        try:
            if items:
                self._receiver.take(items)
            else:
                self._receiver.missed(lost)
        except OSError as error:
            self._is_away(error)
            return False
        except Exception:  # a defect: the thing is dropped, else nothing would ever follow it
            _log.exception("%s: something could not be written", self.name)
        self._is_there()
        with self._lock:
            for _ in items:
                self._queue.popleft()
            if not items:
                self._lost -= lost
        return True

    def _is_away(self, error: OSError) -> None:
        reason = error.strerror or str(error) or type(error).__name__
        if not self.trouble:
            _log.warning("%s cannot be written: %s", self.name, reason)
        self.trouble = f"{self.name} cannot be written: {reason}"

    def _is_there(self) -> None:
        if self.trouble:
            self.trouble = ""
            _log.warning("%s is written again", self.name)
