"""How two servers find out over their stream whether they have the same: questions, answers, a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from qekm.replication.comparing import Comparing, Place, Sums, named
from qekm.replication.messages import Comparison

COMPARE_S = 3_600.0
LOOK_S = 1.0  # between two looks of a comparison
_MOST_TOLD = 1_000  # rows that differ


class Inquiring:
    """Asks the peer, and answers it; `run` and `reply` are tasks of the stream."""

    def __init__(
        self,
        sums: Sums,
        say: Callable[[Comparison], Awaitable[None]],
        has_all: Callable[[int, int], bool],
        judge: Callable[[tuple[str, ...]], Awaitable[None]],
    ) -> None:
        """Take how to say something. has_all: as for Comparing; judge: told of each verdict."""
        self._sums, self._say, self._has_all, self._judge = sums, say, has_all, judge
        self._questions: asyncio.Queue[Comparison] = asyncio.Queue(4)
        self._answer: asyncio.Future[Comparison] | None = None
        self._asked = asyncio.Event()
        self._number = 0
        self.found: tuple[Place, ...] = ()  # rows that differed in the last comparison that was asked here
        self.over = asyncio.Event()  # a comparison that was asked for has come to its end

    def ask(self) -> None:
        """Have the stores compared now."""
        self.over.clear()
        self._asked.set()

    async def run(self, *, hourly: bool) -> None:
        """Compare when it is asked for, and every hour."""
        while True:
            try:
                async with asyncio.timeout(COMPARE_S if hourly else None):
                    await self._asked.wait()
            except TimeoutError:
                pass
            self._asked.clear()
            await self._compare()

    async def _compare(self) -> None:
        self._number += 1
        self.found = ()
        comparing = Comparing(self._number, self._sums, self._inquire, self._has_all)
        found = await comparing.run(lambda: asyncio.sleep(LOOK_S))
        if found is not None:
            self.found = found
            differences = tuple(map(named, found[:_MOST_TOLD]))
            await self._say(Comparison(self._number, done=True, differences=differences))
            await self._judge(differences)
        self.over.set()

    async def _inquire(self, question: Comparison) -> Comparison:
        self._answer = asyncio.get_running_loop().create_future()
        await self._say(question)
        return await self._answer

    async def take(self, message: Comparison) -> None:
        """Take what the peer says of a comparison."""
        if message.answer:
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(message)
        elif message.done:
            await self._judge(message.differences[:_MOST_TOLD])
        else:
            await self._questions.put(message)

    async def reply(self) -> None:
        """Answer the peer's questions, one at a time."""
        while True:
            question = await self._questions.get()
            await self._say(await asyncio.to_thread(self._sums.answer, question))
