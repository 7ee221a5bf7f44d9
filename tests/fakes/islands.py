"""An estate whose servers are cut off from each other, die, come back as old copies; and a model beside it.

What drives were given, what persons said of keys and whether any disk has them is noted apart from the
program (`Fact`). Once in a while all servers tell each other everything, and must be the same. What drives
and persons do is in islanders.py.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from qekm.keystore import READABLE, Keystore, Mount
from qekm.model import Change, KeyState
from qekm.replication.keys import RANKS, join, live
from qekm.replication.merging import Join
from qekm.replication.messages import Acknowledgement, Batch
from qekm.store import snapshot
from tests.fakes.lifecycle import DIED, LOST
from tests.fakes.replicas import GROUPS, NAMES, START_US, Replica, Wire, member, shared_rows

_STOLEN = RANKS[KeyState.COMPROMISED]
_ROUNDS = 2_000


@dataclass
class Fact:
    """What is true of one key, as an outsider knows it."""

    material: bytes
    mounts: set[Mount] = field(default_factory=set)
    shared: bool = False  # given on purpose more than once: by a group that reuses, or as a drive's own
    compromised: bool = False
    condemned: bool = False
    destroyed: bool = False
    known: bool = False  # on some disk: that it was given
    there: bool = True  # on some disk; a server that went back may have been the only one that had it


class Islands:
    """Two or three servers. `keystore` and `joined` are the program's; a control hands in broken ones."""

    def __init__(
        self,
        count: int = 2,
        seed: int = 1,
        keystore: type[Keystore] = Keystore,
        joined: Join = join,
        *,
        careful: bool = True,
    ) -> None:
        """careful: whether keys are destroyed only while every server has told everything."""
        self._random, self._careful = random.Random(seed), careful
        self.now_us, self.count = START_US, 0
        self.facts: dict[str, Fact] = {}
        self.mounts: list[Mount] = []
        self.sessions: list[tuple[str, str]] = []  # server, alias
        self.wires: dict[frozenset[str], Wire] = {}
        self.blocked: set[tuple[str, str]] = set()  # from, to
        self.copies: dict[str, bytes] = {}
        peers = [member(name, place, self._random) for place, name in enumerate(NAMES[:count], 1)]
        self.servers = [
            Replica(peer.name, peers, self._random, self._clock(place), keystore, joined)
            for place, peer in enumerate(peers)
        ]
        for server in self.servers:
            for group, _ in GROUPS:
                self._make(server, group, 3)

    def _clock(self, place: int) -> Callable[[], int]:
        return lambda: self.now_us - place * 3_600_000_000  # no two have the same time of day

    def close(self) -> None:
        """Let go of the disks."""
        for server in self.servers:
            server.disk.close()

    # What happens to servers.

    def _commit(self, server: Replica, unit: Sequence[Change], fate: str) -> bool:
        """Have a server commit a unit; tell whether it is on its disk. It may die before, or after."""
        if fate != LOST:
            server.commit(unit)
        if fate in (LOST, DIED):
            self._crash(server)
        return fate != LOST

    def _make(self, server: Replica, group: str, count: int, fate: str = "") -> None:
        keys = server.keystore.generate(count, group)
        if self._commit(server, keys, fate):
            for key in keys:
                assert key.alias not in self.facts, "two keys have one alias"
                self.facts[key.alias] = Fact(server.ring.open_key(key).reveal())

    def _crash(self, server: Replica) -> None:
        """Lose a server's memory and its wires, and what was under way on them."""
        for pair in [pair for pair in self.wires if server.name in pair]:
            del self.wires[pair]
        self.sessions = [each for each in self.sessions if each[0] != server.name]
        server.load()

    def do_crash(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A server dies and starts again."""
        self._crash(server)

    def do_cut(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A link breaks, or goes dead in one direction."""
        other = self._other(server, a)
        if b % 2:
            self.blocked.add((server.name, other.name))
        else:
            self.wires.pop(frozenset((server.name, other.name)), None)

    def do_heal(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A link stands again."""
        self._connect(server, self._other(server, a))

    def do_say(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A server puts rows on a wire; they may come much later."""
        wire = self.wires.get(frozenset((server.name, self._other(server, a).name)))
        if wire is not None:
            wire.say(server.name, 1 + b % 8)

    def do_hear(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A server takes what is on a wire."""
        self._hear(server, self._other(server, a), fate)

    def do_talk(self, server: Replica, a: int, b: int, fate: str) -> None:
        """Two servers that are connected tell each other much."""
        other = self._other(server, a)
        for _ in range(1 + b % 3):
            for here, there in ((server, other), (other, server)):
                if wire := self.wires.get(frozenset((server.name, other.name))):
                    wire.say(here.name, 16)
                    self._hear(there, here, "")

    def do_copy(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A backup is made."""
        self.copies[server.name] = server.disk.copy()

    def do_restore(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A server loses its disk and goes on from its backup; what only it had is gone."""
        if server.name not in self.copies or b % 4:
            return
        self._crash(server)
        server.begin_epoch(self.copies.pop(server.name))
        for alias, fact in self.facts.items():
            known = [each.keystore.by_alias(alias) for each in self.servers if each.keystore.has(alias)]
            fact.there = bool(known)
            fact.known &= any(key.assign_time_us for key in known)
            fact.compromised &= any(RANKS[live(key)] >= _STOLEN for key in known)
        for key in server.keystore:
            if key.alias not in self.facts:
                self.facts[key.alias] = Fact(server.ring.open_key(key).reveal())

    def _other(self, server: Replica, a: int) -> Replica:
        others = [each for each in self.servers if each is not server]
        return others[a % len(others)]

    def _connect(self, here: Replica, there: Replica) -> None:
        pair = frozenset((here.name, there.name))
        self.blocked -= {(here.name, there.name), (there.name, here.name)}
        if pair not in self.wires:
            caller, called = sorted((here, there), key=lambda each: each.name, reverse=True)
            self.wires[pair] = Wire(caller, called)

    def _hear(self, here: Replica, there: Replica, fate: str) -> bool:
        """Take the next message of another server, if there is one; what is committed is acknowledged."""
        wire = self.wires.get(frozenset((here.name, there.name)))
        if wire is None or (there.name, here.name) in self.blocked or not wire.ends[here.name].coming:
            return False
        end, back = wire.ends[here.name], wire.ends[there.name]
        message = end.coming.popleft()
        if isinstance(message, Acknowledgement):
            end.talk.acknowledge(message)
            return True
        assert isinstance(message, Batch)
        changes = end.take(message)
        if fate != LOST:
            here.disk.commit(changes)
            back.coming.append(Acknowledgement(message.through))
        if fate in (LOST, DIED):
            self._crash(here)
        return True

    def are_complete(self, server: Replica) -> bool:
        """Tell whether a server has everything of all others, and they of it."""
        for other in self.servers:
            if other is not server:
                wire = self.wires.get(frozenset((server.name, other.name)))
                if wire is None or any(end.waits or end.coming for end in wire.ends.values()):
                    return False
                if {(server.name, other.name), (other.name, server.name)} & self.blocked:
                    return False
        return True

    # What must hold.

    def check_readable(self, server: Replica, alias: str) -> None:
        """A key is what it was, and whoever has a cartridge of it can read, unless somebody had it end."""
        key, fact = server.keystore.by_alias(alias), self.facts[alias]
        if key.state in READABLE:
            assert server.keystore.open(key).reveal() == fact.material, "a key has other material"
        else:
            assert fact.destroyed or key.state is KeyState.DESTROY_PENDING, "a key was destroyed by nobody"

    def settle(self) -> None:
        """Have all servers tell each other everything, and check that they are the same and have it all."""
        for _ in range(_ROUNDS):
            moved = False
            for here, there in combinations(self.servers, 2):
                self._connect(here, there)
                wire = self.wires[frozenset((here.name, there.name))]
                for one, other in ((here, there), (there, here)):
                    moved |= wire.ends[one.name].waits
                    wire.say(one.name, 64)
                    moved |= self._hear(other, one, "")
            if not moved:
                break
        else:
            raise AssertionError("the servers tell each other the same again and again")
        first, *others = self.servers
        for other in others:
            if first.disk.ledger.root.shared != other.disk.ledger.root.shared:
                assert shared_rows(first) == shared_rows(other), "two stores differ"
        for server in self.servers:
            self._check(server)

    def _check(self, server: Replica) -> None:
        stored = {key.alias: key for key in snapshot.load(server.disk.connection).keys}
        assert stored == {key.alias: key for key in server.keystore}, "memory is not what the disk is"
        for alias, fact in self.facts.items():
            if not fact.there:
                continue
            assert server.keystore.has(alias), "a key was lost"
            self.check_readable(server, alias)
            key = server.keystore.by_alias(alias)
            assert not fact.compromised or RANKS[live(key)] >= _STOLEN, "a stolen key is as good as new"
            assert not fact.known or key.assign_time_us, "a mount is forgotten"
