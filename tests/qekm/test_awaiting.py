"""Before a new key leaves, a peer knows of it: for a moment, or for sure."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import pytest

from qekm import audit
from qekm.audit import Subject
from qekm.awaiting import Awaiting, gives_new

DRIVE = Subject("001300000392")
LONG_MS = 30_000


@dataclass
class Peer:
    """A peer that acknowledges when a test says so, and a journal of 10 places."""

    connected: bool = True
    acknowledged: int = 9
    journal_end: int = 10
    asked: list[int] = field(default_factory=list)
    _reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def told(self, sequence: int) -> bool:
        """Wait for an acknowledgement."""
        self.asked.append(sequence)
        while self.connected and self.acknowledged < sequence:
            self._reached.clear()
            await self._reached.wait()
        return self.acknowledged >= sequence

    def acknowledge(self, place: int) -> None:
        """Have everything up to a place."""
        self.acknowledged = place
        self._reached.set()

    def leave(self) -> None:
        """Be connected no more."""
        self.connected = False
        self._reached.set()


def awaiting(peer: Peer, strict: str = "off", wait_ms: int = LONG_MS) -> Awaiting:
    """Return what decides."""
    settings = {"peers.strict": strict, "peers.waitMilliseconds": wait_ms}
    return Awaiting(peer, peer, settings, lambda: True)


@pytest.mark.parametrize("strict", ["on", "off"])
async def test_a_key_leaves_as_soon_as_a_peer_knows_of_it(strict: str) -> None:
    peer = Peer()
    leaving = asyncio.ensure_future(awaiting(peer, strict).may_leave())
    await asyncio.sleep(0.05)
    assert not leaving.done()
    peer.acknowledge(10)
    assert await leaving
    assert peer.asked == [10]


@pytest.mark.parametrize(("strict", "may_leave"), [("on", False), ("off", True)])
async def test_what_no_peer_has_in_time_leaves_only_where_that_is_not_asked_for(
    strict: str, may_leave: bool
) -> None:
    begun = time.monotonic()
    assert await awaiting(Peer(), strict, 50).may_leave() is may_leave
    assert time.monotonic() - begun >= 0.04


@pytest.mark.parametrize(("strict", "may_leave"), [("on", False), ("off", True)])
async def test_for_a_peer_that_leaves_nobody_waits_on(strict: str, may_leave: bool) -> None:
    peer = Peer()
    leaving = asyncio.ensure_future(awaiting(peer, strict).may_leave())
    await asyncio.sleep(0.05)
    peer.leave()
    assert await leaving is may_leave
    assert await awaiting(peer, strict).may_leave() is may_leave


async def test_for_a_peer_that_was_late_once_nobody_waits_until_it_has_caught_up() -> None:
    peer = Peer()
    waiting = awaiting(peer, wait_ms=20)
    assert await waiting.may_leave()
    assert await waiting.may_leave()
    assert peer.asked == [10], "not asked again"
    peer.journal_end = 12
    peer.acknowledge(10)
    assert await waiting.may_leave()
    assert peer.asked == [10, 12]


async def test_strict_asks_a_late_peer_every_time() -> None:
    peer = Peer()
    waiting = awaiting(peer, "on", 20)
    assert [await waiting.may_leave() for _ in range(3)] == [False] * 3
    assert peer.asked == [10] * 3


async def test_whether_there_is_a_peer_is_looked_at_now_and_then() -> None:
    joined = [False]
    peer = Peer()
    waiting = Awaiting(peer, peer, {}, lambda: joined[0])
    assert not waiting.on
    joined[0] = True
    await waiting.tick()
    assert waiting.on


def test_only_a_key_to_write_with_is_waited_for() -> None:
    assert gives_new([audit.key_given(5, DRIVE, "A", created=True)])
    assert not gives_new([audit.key_given(5, DRIVE, "A", created=False)])
    assert not gives_new([audit.key_installed(5, DRIVE, "A")])
    assert not gives_new([])
