"""A store that is kept backed up, without gRPC: real files and processes, a clock that can be put forward."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from qekm.backup.keeping import Keeper
from qekm.backup.making import Workshop
from qekm.backup.routine import Routine
from qekm.backup.target import Target
from qekm.backup.writing import Sealing
from qekm.configuration.settings import Settings
from qekm.home import Home
from qekm.keystore import Keystore
from qekm.model import AuditRecord, KeyState
from qekm.owners import Owners
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.unlocking import unlock
from tests.qekm.api.running import Clock
from tests.templates import copied


@dataclass
class Kept:
    """A store, its keeper, and everything around them."""

    home: Home
    target: Target
    store: Store
    owners: Owners
    keeper: Keeper
    routine: Routine
    clock: Clock
    steps: list[tuple[str, int, int]]

    @property
    def keystore(self) -> Keystore:
        """The keys."""
        return self.owners.keystore

    def count(self, state: KeyState) -> int:
        """Count the keys in a state."""
        return self.keystore.counts()[state]

    def tell(self, step: str, done: int, total: int) -> None:
        """Note progress."""
        self.steps.append((step, done, total))

    async def generate(self, count: int) -> None:
        """Make keys as a call does."""
        await self.store.commit([*self.keystore.generate(count, "default")])

    def records(self, event: str) -> list[AuditRecord]:
        """Return the records of an event."""
        return [link.record for link in self.store.iterate_audit() if link.record.event == event]

    def files(self) -> list[str]:
        """Return the names in the target."""
        return sorted(path.name for path in self.target.directory.iterdir())


@asynccontextmanager
async def kept(path: Path, keys: int = 8, **properties: str) -> AsyncIterator[Kept]:
    """Make a key manager in a directory, unless there is one, and keep its store for the block."""
    home, clock = Home(path / "home"), Clock()
    target = path / "backups"
    target.mkdir(exist_ok=True)
    if not home.config.exists():
        wanted = {
            "keystore.protect": "backup",
            "backup.target": "../backups",
            "backup.sameDisk": "true",
            **{name.replace("__", "."): value for name, value in properties.items()},
        }
        copied(home.path, keys, wanted)
    settings = Settings.load(home.config, {})
    store = Store.open(home.store, unlock(KeyFileSealer(home.root_key)), anchor=home.anchor)
    failures: list[BaseException] = []
    try:
        owners = Owners.load(store, settings, home.certificate("server").read_bytes(), clock, os.urandom)
        store.start(owners.estate.audit_key.sign, failures.append)
        found = Target.of(settings, home.path)
        sealing = Sealing(store.ring, owners.estate.audit_key, clock)
        workshop = Workshop(home, store, sealing, found)
        keeper = Keeper(workshop, owners.backups, owners.keystore, owners.protection, store, clock)
        await keeper.start()
        routine = Routine(keeper, owners.keystore, owners.protection, clock)
        yield Kept(home, found or Target(target), store, owners, keeper, routine, clock, [])
        await keeper.close()
    finally:
        store.close()
    assert failures == []
