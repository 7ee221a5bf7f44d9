"""Servers of one estate without sockets, disks and clocks: real owners, real merging, real plan and rows.

A disk is SQLite in memory: what is committed there survives a crash of its server, which loses all else. A
wire joins two servers and loses what is under way when it breaks; the conversations on it are the real ones.
"""

from __future__ import annotations

import os
import random
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy import Engine, create_engine, insert
from sqlalchemy.pool import StaticPool

from qekm.accounts import Accounts
from qekm.allocator import Allocator
from qekm.certificates import Certificates
from qekm.drives import Registry
from qekm.epoch import Past, turn
from qekm.estate import Estate
from qekm.founding import Founding, found
from qekm.keystore import Keystore, never_given
from qekm.model import Change, Cursor, Entry, Group, KeyState, OnExhaustion, Peer, PeerState, Setting
from qekm.owners import Owners
from qekm.partners import Partners
from qekm.peers import Peers
from qekm.replication.comparing import blank_of_store, tables_of_store
from qekm.replication.conversation import Conversation, Own
from qekm.replication.keys import join
from qekm.replication.merging import Join, Merging
from qekm.replication.messages import Acknowledgement, Batch
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.sessions import Sessions
from qekm.store import INSTANCE, Stamps, integrity, journal, schema, snapshot, tables
from qekm.store.ledger import Ledger
from qekm.store.plan import Statements, plan
from qekm.store.shared import SHARED, TABLES, is_shared, key_of

ESTATE, ROOT = bytes(range(16)), bytes(range(32))
START_US = 1_800_000_000_000_000
NAMES = ("alfa", "bravo", "charlie")
_CACHE: dict[Any, Any] = {}  # of statements
GROUPS = (("refills", OnExhaustion.REFILL), ("reuses", OnExhaustion.REUSE), ("refuses", OnExhaustion.REFUSE))


@cache
def _founded() -> tuple[Estate, Founding]:
    """Draw the secrets of the estate once: none of them matters here."""
    estate = Estate.make(ESTATE, START_US, os.urandom)
    return estate, found(ESTATE, (), estate.signer.public_key(), START_US, os.urandom)


@cache
def _compiled() -> tuple[Engine, Statements]:
    """Return what all disks have in common: compiling takes longer than all that they do."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    engine.connect().close()  # a dialect learns at its first connection what it speaks to
    return engine, Statements.compile(engine.dialect)


@cache
def _image() -> bytes:
    """Return an empty store as a file's bytes."""
    engine = create_engine("sqlite://", poolclass=StaticPool)
    with engine.begin() as connection:
        schema.PRESENT.apply(connection)
        connection.execute(insert(tables.estate), {"estate_id": ESTATE})
    raw: Any = engine.raw_connection().driver_connection
    return bytes(raw.serialize())


def _first_rows(peers: Sequence[Peer]) -> list[Change]:
    estate, founding = _founded()
    groups = [Group(name, policy, name == "refills", 1) for name, policy in GROUPS]
    ring = KeyRing(Secret(ROOT), ESTATE)
    return [*estate.dump(ring, founding), *groups, *peers]


class Disk:
    """A store's rows and journal: what was committed. `copy` is what a backup is made of."""

    def __init__(self, ring: KeyRing, image: bytes = b"") -> None:
        self.raw = sqlite3.connect(":memory:", check_same_thread=False)
        self.raw.deserialize(image or _image())
        self.raw.execute("PRAGMA foreign_keys=ON")
        model, self._statements = _compiled()
        own: Any = lambda: self.raw  # noqa: E731
        engine = Engine(StaticPool(own), model.dialect, model.url)
        self.connection = engine.connect().execution_options(compiled_cache=_CACHE)
        self.ledger = Ledger(ring.seals, ESTATE)
        if image:
            self.ledger = integrity.examine(self.connection, ring.seals, ESTATE).require()

    def commit(self, unit: Sequence[Change]) -> None:
        """Take one unit, or nothing of it."""
        steps, draft = plan([unit], self.ledger, None, self._statements)
        for text, rows in steps:
            self.raw.executemany(text, rows)
        self.raw.commit()
        self.ledger.take(draft)

    def copy(self) -> bytes:
        """Return the whole disk."""
        return bytes(self.raw.serialize())

    def close(self) -> None:
        """Let go of the memory."""
        self.connection.close()
        self.raw.close()


class Replica:
    """One server: a disk and what it has in memory."""

    def __init__(
        self,
        name: str,
        peers: Sequence[Peer],
        generator: random.Random,
        clock: Callable[[], int],
        keystore: type[Keystore] = Keystore,
        joined: Join = join,
    ) -> None:
        self.name, self._random, self.now_us = name, generator.randbytes, clock
        self._parts = keystore, joined
        self.ring = KeyRing(Secret(ROOT), ESTATE, random_bytes=self._random)
        self.disk = Disk(self.ring)
        own = next(peer for peer in peers if peer.name == name)
        rows = _first_rows(peers)
        tag = self._random(5).hex().upper()
        rows += [Setting(INSTANCE, own.instance.hex()), Setting("keystore.tag", tag)]
        places = [(TABLES[type(row)], key_of(row)) for row in rows if type(row) in TABLES]
        old = [Entry(table, key, 1, own.instance) for table, key in places if is_shared(table, key)]
        self.disk.commit([*rows, *old])
        self.load()

    def load(self) -> None:
        """Make the memory from the disk, and put right what a crash cut off (serving.Serving.recover)."""
        stored = snapshot.load(self.disk.connection)
        self.instance = bytes.fromhex(stored.settings[INSTANCE])
        self.epoch = int(stored.settings["keystore.epoch"])
        self.stamps = Stamps(self.instance, self.now_us, journal.entries(self.disk.connection))
        made = stored.settings["keystore.tag"], self.epoch, KeyState.READY, self.instance
        keystore, joined = self._parts
        self.keystore = keystore(stored.keys, self.ring, self.now_us, self._random, *made)
        self.allocator = Allocator(stored.groups, self.keystore, self.now_us)
        self.registry = Registry(stored.drives, stored.authorities, stored.blocked, self.now_us)
        self.accounts = Accounts(stored.accounts, self.now_us, lambda: self.now_us() / 1e6)
        self.peers = Peers(stored.peers, self.name, self.instance)
        self.cursors = {cursor.peer: cursor for cursor in stored.cursors}
        self.settings = stored.settings
        self.partners = Partners(stored.partners, self.now_us)
        self.sessions = Sessions(ESTATE, lambda: 15, lambda: self.now_us() / 1e6, self._random)
        self.certificates = Certificates(
            ESTATE,
            stored.vaults,
            stored.certificates,
            _founded()[1].files["server.pem"],
            self.ring,
            self.now_us,
            self._random,
        )
        owners = SimpleNamespace(
            keystore=self.keystore,
            allocator=self.allocator,
            registry=self.registry,
            accounts=self.accounts,
            peers=self.peers,
            settings=self.settings,
            sessions=self.sessions,
            partners=self.partners,
            certificates=self.certificates,
        )
        self.merging = Merging(cast(Owners, owners), self, joined)
        self.merging.start()
        for key in self.keystore.in_state(KeyState.ASSIGNED):
            if not never_given(key) and self.keystore.is_own(key):
                self.commit([self.keystore.mark(key, KeyState.SUSPECT)])

    def commit(self, unit: Iterable[Change]) -> None:
        """Commit changes of this server's own."""
        self.disk.commit(self.stamps.stamped([*unit]))

    def begin_epoch(self, image: bytes) -> None:
        """Go on from an old copy of the disk, as a restore does."""
        self.disk.close()
        self.disk = Disk(self.ring, image)
        stored = snapshot.load(self.disk.connection)
        number = max(self.epoch, int(stored.settings["keystore.epoch"])) + 1
        epoch = turn(number, Past(stored, self.ring), KeyState.READY, self.now_us, self._random)
        instance = next(each for each in epoch.changes if isinstance(each, Setting) and each.name == INSTANCE)
        before = bytes.fromhex(stored.settings[INSTANCE])
        entries = [*journal.entries(self.disk.connection)]
        self.stamps = Stamps(bytes.fromhex(instance.value), self.now_us, entries)
        self.commit(epoch.changes)
        assert before != self.stamps.origin
        self.load()
        self.commit(self.peers.became(self.epoch))

    def own(self) -> Own:
        """Return what it says of itself."""
        return Own(self.name, self.instance, self.epoch, "0", "0", tables_of_store(), blank_of_store)

    def conversation(self, other: str, *, calling: bool) -> Conversation:
        """Begin to talk to another server."""
        cursor = self.cursors.get(other, Cursor(other, b"", 0))
        return Conversation(self.own(), self.ring, self._random(32), cursor, calling=calling)


@dataclass
class End:
    """One end of a wire: a server, what it says, and what was said to it and has not come yet."""

    server: Replica
    talk: Conversation
    coming: deque[Batch | Acknowledgement]

    @property
    def waits(self) -> bool:
        """Tell whether there is more to say."""
        return self.talk.position < self.server.disk.ledger.root.journal

    def take(self, batch: Batch) -> list[Change]:
        """Return what a batch changes here."""
        self.talk.verify(batch)
        changes: list[Change] = []
        for line in self.talk.take(batch, {}):
            changes += self.server.merging.take(line)
        if changes:
            assert self.talk.their is not None
            peer = self.talk.their.name
            cursor = self.server.cursors[peer] = Cursor(peer, self.talk.their.instance, batch.through)
            changes.append(cursor)
        return changes


class Wire:
    """A link between two servers while it stands."""

    def __init__(self, caller: Replica, called: Replica) -> None:
        """Greet; PeerRefused."""
        ends = [
            End(here, here.conversation(there.name, calling=here is caller), deque())
            for here, there in ((caller, called), (called, caller))
        ]
        hellos = [end.talk.hello() for end in ends]
        for end, other, hello in zip(ends, reversed(ends), reversed(hellos), strict=True):
            end.talk.greet(hello, other.server.name, end.server.disk.ledger.root.journal)
            end.server.commit(end.server.peers.greet(hello.name, hello.instance, hello.epoch))
            end.talk.adopt(hello.record_keys)
        self.ends = {end.server.name: end for end in ends}

    def other(self, name: str) -> End:
        """Return the end that is not a server's."""
        return next(end for each, end in self.ends.items() if each != name)

    def say(self, name: str, most: int) -> None:
        """Put a page of a server's journal on the wire."""
        end = self.ends[name]
        if end.waits and end.talk.may_send:
            page = journal.page(end.server.disk.connection, end.talk.position, most)
            self.other(name).coming.append(end.talk.batch(page))


def member(name: str, place: int, generator: random.Random) -> Peer:
    """Return a server of the estate that has joined."""
    instance = generator.randbytes(7) + bytes([place])
    return Peer(name, f"{name}:443", instance, 1, PeerState.JOINED, b"", START_US, START_US + place)


def shared_rows(server: Replica) -> dict[str, list[tuple[Any, ...]]]:
    """Return all shared rows with their MACs, for whoever asks in what two differ."""
    rows = {}
    for name, shared in SHARED.items():
        found = server.disk.raw.execute(f'SELECT * FROM "{shared.table.name}"').fetchall()
        rows[name] = sorted(row for row in found if is_shared(name, row[0]))
    return rows


__all__ = ["GROUPS", "NAMES", "START_US", "Disk", "Replica", "Wire", "member", "shared_rows"]
