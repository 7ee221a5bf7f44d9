"""The calls under way, found by what they were let in for: when that ends, they end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

Mark = str | bytes
"""What a call was let in for: a certificate, by its serial, and a session, by its place."""


class Call:
    """A call under way and, once it was ended from here, the mark that ended."""

    __slots__ = ("ended", "task")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.ended: Mark | None = None

    def end(self, mark: Mark) -> None:
        """Interrupt the call wherever it waits."""
        if self.ended is None:
            self.ended = mark
            self.task.cancel()


class UnderWay:
    """Calls by their marks."""

    def __init__(self) -> None:
        self._calls: dict[Mark, set[Call]] = {}

    @contextlib.contextmanager
    def keep(self, *marks: Mark) -> Iterator[Call]:
        """Keep the call of this task where the end of a mark finds it."""
        call = Call(this_task())
        for mark in marks:
            self._calls.setdefault(mark, set()).add(call)
        try:
            yield call
        finally:
            for mark in marks:
                self._calls[mark].discard(call)
                if not self._calls[mark]:
                    del self._calls[mark]

    def end(self, mark: Mark) -> None:
        """End what is under way for a mark, but not the call in which its holder gave it up."""
        for call in tuple(self._calls.get(mark, ())):
            if call.task is not asyncio.current_task():
                call.end(mark)


def this_task() -> asyncio.Task[Any]:
    """Return the task of the call: grpc makes one for each."""
    task = asyncio.current_task()
    assert task is not None
    return task
