"""Hand things to a receiver that may be slow, full or away, and never make the giver wait for it.

A bounded queue and a thread. What the receiver does not take it is offered again; what there is no room for
meanwhile is lost, counted, and told of when the receiver is there again; so is what shows a defect of it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, Protocol, TypeVar

from qekm.clock import steady_s

_log = logging.getLogger(__name__)

MOST = 8_192  # that wait
BATCH = 64  # handed over at once
REST_S = 0.000_2
"""What a receiver sleeps every half millisecond, or else the event loop waits 5 ms for each of its turns."""
PATIENCE_S = 1.0  # at the end, for what waits
SLOW_S = 60.0  # under way: what takes longer is told of, although the receiver may say nothing
WAITS_S = 0.2, 5.0  # between two attempts: the first time, and at most
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Receiver(Protocol[T_contra]):
    """What takes things, in the courier's thread; OSError: not now, and the same ones come again.

    Any other exception: one of them shows a defect; they come again one at a time, each for the last time.
    """

    def take(self, items: Sequence[T_contra], /) -> None:
        """Take all of them, or none."""

    def missed(self, count: int, /) -> None:
        """Take note that so many were lost since the last ones."""

    def close(self) -> None:
        """Let go of what is open."""


class Courier(Generic[T]):
    """One receiver's queue and thread, from `start` to `close`; `give` may be called from any thread."""

    def __init__(
        self,
        name: str,
        receiver: Receiver[T],
        *,
        most: int = MOST,
        batch: int = BATCH,
        waits_s: tuple[float, float] = WAITS_S,
        slow_s: float = SLOW_S,
        merge: Callable[[Sequence[T]], T] | None = None,
    ) -> None:
        """merge: makes one thing of what there is no room for and the last one; nothing is lost then."""
        # The queue's last place is beyond every batch: what is merged there is under way nowhere.
        batch = min(batch, most - 1) if merge else batch
        self._merge = merge
        self.name, self._trouble = name, ""
        self._slow_s, self._since_s = slow_s, 0.0  # since when one handing over is under way; 0: none
        self._receiver, self._most, self._batch, self._waits_s = receiver, most, batch, waits_s
        self._queue: deque[T] = deque()
        self._lost = 0
        self._suspects = 0  # at the queue's head, to be handed over one at a time
        self._broken = False  # the last thing was dropped
        self._lock = threading.Lock()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"courier: {name}", daemon=True)

    def start(self) -> None:
        """Begin to hand over."""
        self._thread.start()

    def give(self, item: T) -> None:
        """Queue a thing, or merge it into the last one, or count it as lost; returns at once."""
        with self._lock:
            if len(self._queue) < self._most:
                self._queue.append(item)
            elif self._merge:
                self._queue[-1] = self._merge([self._queue[-1], item])
            else:
                self._lost += 1
        if not self._wake.is_set():
            self._wake.set()

    @property
    def trouble(self) -> str:
        """Return why the receiver takes nothing at present, in words; empty while it does."""
        since_s = self._since_s
        if not self._trouble and since_s and steady_s() - since_s > self._slow_s:
            return f"{self.name} cannot be written: no end of it within {self._slow_s:g} s"
        return self._trouble

    @property
    def is_idle(self) -> bool:
        """Tell whether nothing waits: all that was given was taken, or is lost."""
        return not self._queue

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
        # A loss is told of behind something that was taken: the line that tells of it may be lost next.
        return bool(self._queue or (self._lost and not self._broken))

    def _deliver(self) -> bool:
        """Hand over one batch, or tell of what was lost behind the last one; False if it was not taken."""
        items, lost = list(islice(self._queue, 1 if self._suspects else self._batch)), self._lost
        self._since_s = steady_s()
        try:
            if items:
                self._receiver.take(items)
            else:
                self._receiver.missed(lost)
        except OSError as error:
            self._is_away(error)
            return False
        except Exception as error:
            if len(items) > 1:
                self._suspects = len(items)
            else:
                self._drop(len(items), lost, error)
            return True
        finally:
            self._since_s = 0.0
        self._is_there()
        self._take_out(len(items), 0 if items else -lost)
        return True

    def _take_out(self, count: int, lost: int) -> None:
        """Go on behind so many things; `lost` changes the count of those that are lost."""
        self._suspects = max(0, self._suspects - count)
        with self._lock:
            for _ in range(count):
                self._queue.popleft()
            self._lost += lost

    def _drop(self, count: int, lost: int, error: Exception) -> None:
        """Drop the thing that shows a defect, else nothing would ever follow it; or the news of a loss."""
        if not self._broken:
            _log.error("%s: something could not be written", self.name, exc_info=error)
        self._trouble = f"{self.name} cannot be written: {type(error).__name__}"
        self._broken = True
        self._take_out(count, count or -lost)

    def _is_away(self, error: OSError) -> None:
        reason = error.strerror or str(error) or type(error).__name__
        if not self._trouble:
            _log.warning("%s cannot be written: %s", self.name, reason)
        self._trouble = f"{self.name} cannot be written: {reason}"

    def _is_there(self) -> None:
        self._broken = False
        if self._trouble:
            self._trouble = ""
            _log.warning("%s is written again", self.name)
