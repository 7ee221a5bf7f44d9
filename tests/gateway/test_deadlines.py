"""The wheel that watches all connections with one timer."""

from __future__ import annotations

import asyncio
import random

from qekm_gateway.deadlines import Deadlines


class Guarded:
    """Something with a deadline; notes when it passed."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.deadline, self.slot = 0.0, -1
        self.passed: list[float] = []

    def expired(self) -> None:
        self.passed.append(self.loop.time())


async def test_each_deadline_passes_once_and_at_most_a_turn_late() -> None:
    loop = asyncio.get_running_loop()
    wheel = Deadlines(loop, 0.02)
    begun = loop.time()
    guarded = [Guarded(loop) for _ in range(100)]
    for one in guarded:
        wheel.watch(one, begun + random.random() * 0.3)
    await asyncio.sleep(0.45)
    for one in guarded:
        assert len(one.passed) == 1
        assert -0.001 <= one.passed[0] - one.deadline < 0.3


async def test_a_deadline_moved_later_or_earlier_or_forgotten_is_obeyed() -> None:
    loop = asyncio.get_running_loop()
    wheel = Deadlines(loop, 0.01)
    now = loop.time()
    later, earlier, forgotten = Guarded(loop), Guarded(loop), Guarded(loop)
    wheel.watch(later, now + 0.05)
    wheel.watch(earlier, now + 10)
    wheel.watch(forgotten, now + 0.05)
    wheel.watch(later, now + 0.2)
    wheel.watch(earlier, now + 0.05)
    wheel.forget(forgotten)
    await asyncio.sleep(0.12)
    assert (len(later.passed), len(earlier.passed), len(forgotten.passed)) == (0, 1, 0)
    await asyncio.sleep(0.2)
    assert len(later.passed) == 1
    assert not forgotten.passed


async def test_one_that_forgets_another_of_the_same_turn_is_obeyed() -> None:
    loop = asyncio.get_running_loop()
    wheel = Deadlines(loop, 0.01)
    pair = [Guarded(loop), Guarded(loop)]

    class Selfish(Guarded):
        def expired(self) -> None:
            super().expired()
            for one in pair:
                wheel.forget(one)

    selfish = [Selfish(loop) for _ in range(8)]
    for one in (*selfish, *pair):
        wheel.watch(one, loop.time() + 0.02)
    await asyncio.sleep(0.1)
    assert all(len(one.passed) == 1 for one in selfish)
    assert all(one.slot == -1 for one in pair)


async def test_nothing_watched_needs_no_timer() -> None:
    loop = asyncio.get_running_loop()
    wheel = Deadlines(loop, 0.01)
    one = Guarded(loop)
    wheel.watch(one, loop.time() + 0.01)
    wheel.forget(one)
    await asyncio.sleep(0.05)
    assert wheel._timer is None
    assert wheel._slots == {}
    wheel.watch(one, loop.time())
    await asyncio.sleep(0.05)
    assert len(one.passed) == 1
