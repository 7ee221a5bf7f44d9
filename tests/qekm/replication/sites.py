"""Servers of one estate in the test's own event loop: real stores and links, on wires that can be cut."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from qekm.clock import now_us, steady_s
from qekm.errors import ServiceAway
from qekm.model import Change, Group, Key, KeyState, OnExhaustion, Peer, PeerState, Removal, Setting
from qekm.peers import Peers
from qekm.replication.comparing import blank_of_store, tables_of_store
from qekm.replication.conversation import Own
from qekm.replication.ground import Ground
from qekm.replication.links import Links
from qekm.replication.messages import Message, Pipe
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.store import INSTANCE, SHARED, Line, Locked, Store
from tests.qekm.store.material import SLOTS

ESTATE = bytes(range(16))
ROOT = bytes(32)
DEFAULT = Group("default", OnExhaustion.REFILL, True, 1)
PATIENCE_S = 30.0


def ring_of(_: Locked | None = None) -> KeyRing:
    """Return a ring of the estate; each server has its own."""
    return KeyRing(Secret(ROOT), ESTATE)


def instance_of(name: str) -> bytes:
    """Return the instance of a server of these tests."""
    return name.encode().ljust(8, b".")


class Latest:
    """Decides on rows as simply as can be: the later stamp holds, of keys the higher version."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.keys: dict[Any, int] = {}
        self.taken: list[Line] = []

    def take(self, line: Line) -> Sequence[Change]:
        """Return what a row changes."""
        self.taken.append(line)
        stamps = self._store.stamps
        assert stamps is not None
        noun = SHARED[line.table].noun
        if noun is Key:
            version = line.values[10]
            if self.keys.get(line.key, 0) >= version:
                return ()
            self.keys[line.key] = version
        elif not stamps.wins(line.table, line.key, line.stamp_us, line.origin):
            return ()
        stamps.see(line.entry)
        change = Removal(noun, str(line.key)) if line.removed else SHARED[line.table].of_row(line.values)
        return (change, line.entry)


@dataclass
class Pool:
    """Keys as a link sees them."""

    read_only: str = ""
    record_version: int = 1

    def versions(self) -> dict[int, int]:
        """Return how many keys are under each version."""
        return {self.record_version: 3}

    def own_counts(self) -> dict[KeyState, int]:
        """Return how many keys there are."""
        return dict.fromkeys(KeyState, 7)

    def freeze(self, reason: str) -> None:
        """Give no new keys."""
        self.read_only = reason

    def thaw(self, reason: str) -> None:
        """Give keys again."""
        if self.read_only == reason:
            self.read_only = ""


class End:
    """One end of a wire within the process; what `tamper` returns goes on it instead of a message."""

    def __init__(
        self, wire: Wire, out: asyncio.Queue[Message | None], into: asyncio.Queue[Message | None]
    ) -> None:
        self._wire, self._out, self._into = wire, out, into

    async def send(self, message: Message) -> None:
        """Put a message on the wire; there is room for four."""
        for each in self._wire.tamper(message):
            await self._out.put(each)

    async def receive(self) -> Message | None:
        """Return the next message."""
        return await self._into.get()

    def close(self) -> None:
        """Let the other end find the end."""
        if self._out.full():
            self._out.get_nowait()
        self._out.put_nowait(None)


@dataclass
class Wire:
    """What is between two servers."""

    cut: bool = False
    tamper: Callable[[Message], Sequence[Message]] = lambda message: [message]
    ends: list[End] = field(default_factory=list)

    def break_(self) -> None:
        """Cut it; both ends find out."""
        self.cut = True
        for end in self.ends:
            end.close()


@dataclass
class Site:
    """One server."""

    name: str
    store: Store
    links: Links
    peers: Peers
    pool: Pool
    merging: Any
    settings: dict[str, str]

    async def commit(self, *changes: Change) -> None:
        """Change something here."""
        await self.store.commit(changes)

    def rows(self) -> dict[str, Any]:
        """Return what all servers must have in common."""
        return {name: sum_ for name, sum_ in self.store.shared[1].items() if sum_.rows}


class Estate:
    """Several servers and the wires between them."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._path = path
        self.rows = [
            Peer(name, f"{name}:443", instance_of(name), 1, PeerState.JOINED, b"", place + 1, place + 1)
            for place, name in enumerate(names)
        ]
        self.wires: dict[frozenset[str], Wire] = {}
        self.sites: dict[str, Site] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def wire(self, one: str, other: str) -> Wire:
        """Return what is between two servers."""
        return self.wires.setdefault(frozenset((one, other)), Wire())

    async def begin(self, name: str, **changed: Any) -> Site:
        """Start a server; the first time with an empty store. changed: fields of its Ground."""
        path = self._path / name / "store" / "qekm.db"
        if not path.exists():
            instance = Setting(INSTANCE, instance_of(name).hex())
            Store.create(path, ESTATE, ring_of().seals, [*SLOTS, instance, DEFAULT, *self.rows])
        store = Store.open(path, ring_of)
        store.start(None, lambda error: None)
        await store.begin_journal()
        found = store.load()
        peers = Peers(found.peers, name, instance_of(name))
        pool, merging = Pool(), changed.pop("merging", Latest)(store)
        own = Own(name, instance_of(name), 1, "0.4.0", "0004", tables_of_store(), blank_of_store)
        rows = merging if hasattr(merging, "journal_page") else store  # of another release
        made = Ground(own, rows, merging, peers, pool, found.settings, now_us, steady_s, os.urandom)
        ground = replace(made, **changed)
        links = Links(ground, found.cursors, lambda address: self._dial(name, address))
        site = self.sites[name] = Site(name, store, links, peers, pool, merging, found.settings)
        await links.start()
        return site

    async def end(self, name: str) -> None:
        """Stop a server."""
        site = self.sites.pop(name)
        await site.links.close()
        site.store.close()

    @asynccontextmanager
    async def _dial(self, caller: str, address: str) -> AsyncIterator[Pipe]:
        called = address.partition(":")[0]
        wire = self.wire(caller, called)
        if wire.cut or called not in self.sites:
            raise ServiceAway(f"{called} does not answer")
        there: asyncio.Queue[Message | None] = asyncio.Queue(4)
        back: asyncio.Queue[Message | None] = asyncio.Queue(4)
        near, far = End(wire, there, back), End(wire, back, there)
        wire.ends = [near, far]
        task = asyncio.create_task(self._serve(self.sites[called], caller, far))
        self._tasks.add(task)
        try:
            yield near
        finally:
            near.close()
            await asyncio.wait([task])
            self._tasks.discard(task)

    async def _serve(self, site: Site, caller: str, end: End) -> None:
        try:
            await site.links.called(caller, end)
        except Exception:
            await asyncio.sleep(0)
        finally:
            end.close()

    async def close(self) -> None:
        """Stop all."""
        for name in list(self.sites):
            await self.end(name)


@asynccontextmanager
async def estate(path: Path, *names: str) -> AsyncIterator[Estate]:
    """Have servers of these names for the block, the first one the oldest."""
    made = Estate(path, names)
    try:
        for name in names:
            await made.begin(name)
        yield made
    finally:
        await made.close()


async def until(reached: Callable[[], bool], what: str = "") -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not reached():
            await asyncio.sleep(0.02)
    assert reached(), what


def are_same(*sites: Site) -> bool:
    """Tell whether servers have the same shared rows."""
    return all(site.rows() == sites[0].rows() for site in sites)


def refusals(site: Site) -> set[tuple[str, str]]:
    """Return who was refused by a server, and why, as its trail has it."""
    records = [link.record for link in site.store.iterate_audit()]
    return {(record.actor, record.code) for record in records if record.event == "peer.refuse"}


def make_key(number: int, site: str, version: int = 1) -> Key:
    """Return a key that a server made, sealed under the estate's root key."""
    ring = ring_of()
    alias, dki = f"QKM000000000000{number:06X}", b"QKM" + number.to_bytes(9, "big")
    key_id = number.to_bytes(16, "big")
    with Secret(number.to_bytes(32, "big")) as material:
        sealed = ring.seal_key(material, key_id, alias, number, 1)
        value = ring.check_value(material)
    return Key(
        *(key_id, alias, dki, number, 5, 1, sealed, value, "default", KeyState.READY, version),
        origin=instance_of(site),
    )
