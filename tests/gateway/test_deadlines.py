"""The wheel that watches all connections with one timer."""

from __future__ import annotations

import asyncio
import random

from qekm_gateway.deadlines import Deadlines
from tests.waiting import until


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
    await until(lambda: all(one.passed for one in guarded))
    await asyncio.sleep(0.1)
    late = [one.passed[0] - one.deadline for one in guarded]
    print(f"a deadline passes at most {max(late) * 1e3:.0f} ms late, with a turn of 20 ms")
    assert all(len(one.passed) == 1 for one in guarded)
    assert min(late) >= -0.001 and max(late) < 1.0


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
    await until(lambda: later.passed and earlier.passed)
    await asyncio.sleep(0.1)
    assert (len(later.passed), len(earlier.passed), len(forgotten.passed)) == (1, 1, 0)
    assert now + 0.05 <= earlier.passed[0] < now + 10
    assert later.passed[0] >= now + 0.2


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
    await until(lambda: all(one.passed for one in selfish))
    await asyncio.sleep(0.05)
    assert all(len(one.passed) == 1 for one in selfish)
    assert all(one.slot == -1 for one in pair)


async def test_nothing_watched_needs_no_timer() -> None:
    loop = asyncio.get_running_loop()
    wheel = Deadlines(loop, 0.01)
    one = Guarded(loop)
    wheel.watch(one, loop.time() + 0.01)
    wheel.forget(one)
    await until(lambda: wheel._timer is None)
    assert wheel._slots == {}
    wheel.watch(one, loop.time())
    await until(lambda: one.passed)
    assert len(one.passed) == 1
