"""Keys become READY once a peer has them on its disk; with a real store and a peer that is a number."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from qekm.configuration.settings import Settings
from qekm.home import Home
from qekm.init import Wanted, make
from qekm.keystore import Keystore
from qekm.model import KeyState
from qekm.owners import Owners
from qekm.protecting import Protecting
from qekm.protection import Protection
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.unlocking import unlock
from tests.qekm.api.running import Clock
from tests.waiting import PATIENCE_S

LONG_S = 3_600.0


@dataclass
class Peer:
    """A peer that has what a test says."""

    connected: bool = True
    acknowledged: int = 0


@dataclass
class Site:
    """A store, and what looks after its keys."""

    store: Store
    owners: Owners
    protection: Protection
    protecting: Protecting
    peer: Peer
    low: bool = False
    steady_s: float = 0.0

    @property
    def keystore(self) -> Keystore:
        """The keys."""
        return self.owners.keystore

    @property
    def ready(self) -> int:
        """How many keys may be used."""
        return self.keystore.counts()[KeyState.READY]

    async def generate(self, count: int) -> int:
        """Make keys as a call does; returns where the journal ends then."""
        await self.store.commit([*self.keystore.generate(count, "default")])
        return self.store.journal_end

    async def tick(self) -> int:
        """Do what is due; returns how many keys may be used."""
        await self.protecting.tick()
        stored = [key.state for key in self.store.load().keys]
        assert stored.count(KeyState.READY) == self.ready, "on the disk as in memory"
        return self.ready


@asynccontextmanager
async def site(path: Path, asked: str = "peer") -> AsyncIterator[Site]:
    """Make a key manager without keys, whose journal is kept."""
    home, clock = Home(path / "home"), Clock()
    (path / "backups").mkdir()
    properties = {"backup.target": str(path / "backups"), "backup.sameDisk": "true"}
    make(home, Wanted(keys=0, properties={"keystore.protect": asked, **properties}), clock)
    settings = Settings.load(home.config, {})
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)), anchor=home.anchor)
    failures: list[BaseException] = []
    try:
        owners = Owners.load(store, settings, home.certificate("server").read_bytes(), clock, os.urandom)
        store.start(owners.estate.audit_key.sign, failures.append)
        await store.begin_journal()
        peer, instance = Peer(), owners.estate.instance
        protection = Protection(owners.keystore, asked, 0, lambda: True, instance)
        made = Site(store, owners, protection, None, peer)  # type: ignore[arg-type]
        clocks = clock, lambda: made.steady_s
        made.protecting = Protecting(
            *(protection, owners.keystore, store, peer, lambda: made.low, lambda: LONG_S, clocks)
        )
        yield made
    finally:
        store.close()
    assert failures == []


async def test_a_key_is_ready_when_a_peer_has_it(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        first = await made.generate(3)
        assert await made.tick() == 0
        await made.generate(2)
        made.peer.acknowledged = first
        assert await made.tick() == 3
        made.peer.acknowledged = made.store.journal_end
        assert await made.tick() == 5


async def test_a_part_of_what_was_made_together_is_a_part(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        end = await made.generate(4)
        made.peer.acknowledged = end - 2
        assert await made.tick() == 2


@pytest.mark.parametrize("is_real", [True, False], ids=["real", "control"])
async def test_a_key_that_is_not_committed_yet_is_not_at_a_peer(tmp_path: Path, is_real: bool) -> None:
    """Its row is in memory when the store is asked what a peer lacks, and the answer is: nothing.

    The control does not wait for what was made before.
    """
    async with site(tmp_path) as made:
        made.peer.acknowledged = await made.generate(1)
        gate = threading.Event()
        held = asyncio.ensure_future(made.store._run(lambda _connection: gate.wait(60)))
        keys = made.keystore.generate(64, "default")
        commit = made.store.submit([[*keys]])  # on its way
        if not is_real:
            made.protecting._store = Impatient(made.store)
        looking = asyncio.ensure_future(made.protecting.tick())
        await asyncio.wait([looking], timeout=0.3 if is_real else PATIENCE_S)
        assert looking.done() is not is_real
        gate.set()
        await asyncio.gather(held, commit, looking)
        assert made.ready == (1 if is_real else 65)


class Impatient:
    """A store of which what was made before is not waited for."""

    def __init__(self, store: Store) -> None:
        self.unheld, self.journaling = store.unheld, store.journaling

    async def commit(self, _changes: object) -> None:
        """Wait for nothing."""


async def test_backups_count_while_no_peer_is_there_for_long(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        await made.generate(3)
        made.protection.backed_up(3)
        made.peer.connected, made.low = False, True
        made.steady_s = LONG_S - 1
        assert await made.tick() == 0
        made.steady_s = LONG_S
        assert await made.tick() == 3
        made.peer.connected = True
        await made.tick()
        told = [link.record for link in made.store.iterate_audit() if link.record.event == "peer.substitute"]
        assert [each.outcome.name for each in told] == ["FAILURE", "SUCCESS"]


async def test_a_peer_that_comes_and_goes_is_not_away_for_long(tmp_path: Path) -> None:
    async with site(tmp_path) as made:
        await made.generate(3)
        made.protection.backed_up(3)
        made.low = True
        for number in range(1, 5):
            made.steady_s = number * (LONG_S - 1)
            made.peer.connected = True
            await made.tick()
            made.peer.connected = False
            assert await made.tick() == 0
