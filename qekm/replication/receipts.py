"""Who waits until some peer has a place of the journal on its disk. Memory only."""

from __future__ import annotations

import asyncio


class Receipts:
    """Answers those who wait: as soon as their place is reached, or when nobody is there to reach it."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, asyncio.Future[bool]]] = []

    async def reached(self, sequence: int) -> bool:
        """Return True once a place is reached, False when waiting for it makes no sense any more."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((sequence, future))
        try:
            return await future
        finally:
            self._waiting = [each for each in self._waiting if each[1] is not future]

    def reach(self, sequence: int) -> None:
        """Answer those whose place is reached."""
        for wanted, future in self._waiting:
            if wanted <= sequence and not future.done():
                future.set_result(True)

    def give_up(self) -> None:
        """Answer all others: there is nobody."""
        for _, future in self._waiting:
            if not future.done():
                future.set_result(False)
