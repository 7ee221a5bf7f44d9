"""A drive's new key and the peer that is to know of it first; the peer is a test's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qekm.awaiting import Awaiting
from qekm.dkp.codes import Ask, Code
from qekm.model import KeyState
from qekm.v1.serving_pb2 import ServeRequest
from qekm_gateway.simulator.errand import Refused
from tests.qekm.api.drives_at_work import Site, play
from tests.qekm.api.running import running
from tests.qekm.test_awaiting import LONG_MS, Peer
from tests.waiting import until


@asynccontextmanager
async def site(path: Path, peer: Peer, strict: str = "off", wait_ms: int = LONG_MS) -> AsyncIterator[Site]:
    """Run a service that has this peer."""
    async with running(path / "home", keys=8) as run:
        settings = {"peers.strict": strict, "peers.waitMilliseconds": wait_ms}
        held = Awaiting(peer, peer, settings, lambda: True)
        assert not run.service.awaiting.on, "nobody waits where there is no peer"
        run.service.awaiting.__dict__.update(held.__dict__)
        yield await Site.of(run)


async def test_a_new_key_waits_for_the_peer_and_a_reader_does_not(tmp_path: Path) -> None:
    peer = Peer()
    async with site(tmp_path, peer) as made, made.run.gateway() as gateway:
        writing = made.asking()
        await play(gateway, writing, steps=1)
        await gateway.stream.write(ServeRequest(steps=[writing.step(0)]))
        answer = asyncio.ensure_future(gateway.read())
        await until(lambda: peer.asked)
        await asyncio.sleep(0.3)
        assert not answer.done()
        assert peer.asked == [10]
        assert list(made.stored().values()) == [KeyState.ASSIGNED]
        peer.acknowledge(10)
        writing.take((await answer).replies[0])
        await play(gateway, writing)
        key = writing.outcome.key
        assert key is not None
        await play(gateway, reading := made.asking(made.drive("001310000363"), Ask.TRANSLATE, dki=key.dki))
        assert reading.outcome.key is not None
        assert peer.asked == [10]


async def test_strict_refuses_what_no_peer_knows_and_gives_that_key_to_no_other_mount(tmp_path: Path) -> None:
    peer = Peer()
    async with site(tmp_path, peer, "on", 50) as made, made.run.gateway() as gateway:
        refused = made.asking()
        with pytest.raises(Refused) as caught:
            await play(gateway, refused)
        assert caught.value.number == Code.EE34
        await until(lambda: made.run.service.owners.keystore.in_state(KeyState.SUSPECT))
        (suspect,) = made.run.service.owners.keystore.in_state(KeyState.SUSPECT)
        peer.acknowledge(10)
        other = made.asking(made.drive("001310000363"))
        await play(gateway, other)
        assert other.outcome.key is not None
        assert other.outcome.key.alias != suspect.alias
        assert made.stored() == {suspect.alias: KeyState.SUSPECT, other.outcome.key.alias: KeyState.ACTIVE}


async def test_without_strict_a_key_leaves_after_a_moment(tmp_path: Path) -> None:
    peer = Peer()
    async with site(tmp_path, peer, wait_ms=50) as made, made.run.gateway() as gateway:
        await play(gateway, writing := made.asking())
        assert writing.outcome.confirmed


async def test_strict_takes_no_key_while_no_peer_is_there_and_lets_everybody_read(tmp_path: Path) -> None:
    peer = Peer(acknowledged=10)
    async with site(tmp_path, peer, "on") as made, made.run.gateway() as gateway:
        await play(gateway, writing := made.asking())
        key = writing.outcome.key
        assert key is not None
        peer.connected = False
        for number in range(3):
            with pytest.raises(Refused) as caught:
                await play(gateway, made.asking(made.drive(f"{number:012}")))
            assert caught.value.number == Code.EE34
        assert made.stored() == {key.alias: KeyState.ACTIVE}
        await play(gateway, reading := made.asking(made.drive("001310000363"), Ask.TRANSLATE, dki=key.dki))
        assert reading.outcome.key is not None
        peer.connected = True
        await play(gateway, again := made.asking(made.drive("000000000000")))
        assert again.outcome.key is not None
