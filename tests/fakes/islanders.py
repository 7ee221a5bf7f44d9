"""What drives and persons do at the servers of an estate that are cut off from each other.

A step is an action, a server, two numbers and the fate of its commit, as in lifecycle.py.
"""

from __future__ import annotations

from contextlib import suppress

from qekm.errors import KeyInUse, QekmError
from qekm.keystore import NEXT, Mount
from qekm.model import Cartridge, Change, Drive, DriveState, Key, KeyState, OnExhaustion
from qekm.secret import Secret
from tests.fakes.islands import Fact, Islands
from tests.fakes.replicas import GROUPS, Replica

SERIALS = ("1", "2", "3", "4")


class Islanders(Islands):
    """Everybody who does anything."""

    def step(self, action: str, a: int, b: int, fate: str) -> None:
        """Do one thing at one server."""
        self.count += 1
        self.now_us += 1_000
        server = self.servers[a % len(self.servers)]
        getattr(self, f"do_{action}")(server, a // len(self.servers), b, fate)

    def _any(self, server: Replica, b: int) -> str:
        """Return the alias of some key that a server has."""
        aliases = [alias for alias in self.facts if server.keystore.has(alias)]
        return aliases[b % len(aliases)]

    # Drives.

    def do_write(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A drive wants a key for a cartridge: a new mount, or one that a server was asked for before."""
        serial, group = SERIALS[a % 4], GROUPS[b % 3][0]
        mount = serial, str(self.count).encode(), f"V{b % 50}"
        if b % 4 == 0 and self.mounts:
            mount = self.mounts[-1 - a % min(8, len(self.mounts))]
        key = server.keystore.by_mount(mount)
        if key is not None:
            assert mount in self.facts[key.alias].mounts, "a mount has a key that it was not given"
        else:
            drive = server.registry.find(serial) or Drive(serial, DriveState.ACCEPTED, 1, group=group)
            try:
                key = server.allocator.choose(drive, server.registry.names_key)
            except QekmError:
                return
            self.facts[key.alias].shared |= bool(drive.alias) or key.state is KeyState.ACTIVE
        given = server.keystore.assign(key, server.now_us(), mount)
        if self._commit(server, [given], fate):
            self._given(server, given, mount)

    def _given(self, server: Replica, key: Key, mount: Mount) -> None:
        fact = self.facts[key.alias]
        assert server.ring.open_key(key).reveal() == fact.material, "another key of this alias"
        assert fact.shared or fact.mounts <= {mount}, "a key was given to two mounts"
        fact.mounts.add(mount)
        fact.known = True
        self.mounts.append(mount)
        self.sessions.append((server.name, key.alias))

    def do_confirm(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A drive tells that it has the key, or does not."""
        own = [each for each in self.sessions if each[0] == server.name]
        if not own:
            return
        self.sessions.remove(chosen := own[a % len(own)])
        key = server.keystore.by_alias(chosen[1])
        state = KeyState.ACTIVE if b % 4 else KeyState.SUSPECT
        if state not in NEXT[key.state]:
            return
        use = Cartridge(key.volser, key.alias, key.drive_serial, b"", server.now_us())
        uses = [use] if state is KeyState.ACTIVE else []
        self._commit(server, [server.keystore.mark(key, state), *uses], fate)

    def do_read(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A drive names a key that it was given."""
        given = [alias for alias, fact in self.facts.items() if fact.mounts and fact.there]
        if given:
            alias = given[b % len(given)]
            if server.keystore.has(alias):
                self.check_readable(server, alias)

    # Persons.

    def do_compromise(self, server: Replica, a: int, b: int, fate: str) -> None:
        """Somebody stole a key."""
        alias = self._any(server, b)
        with suppress(KeyInUse):
            if self._commit(server, server.keystore.retire([alias], KeyState.COMPROMISED), fate):
                self.facts[alias].compromised = True

    def do_retire(self, server: Replica, a: int, b: int, fate: str) -> None:
        """Nothing new is to be written with a key."""
        with suppress(KeyInUse):
            self._commit(server, server.keystore.retire([self._any(server, b)], KeyState.PROCESS_ONLY), fate)

    def do_condemn(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A key is to be destroyed soon."""
        alias = self._any(server, b)
        with suppress(KeyInUse):
            unit = server.keystore.condemn([alias], server.now_us() + a % 20 * 1_000 + 1)
            if self._commit(server, unit, fate):
                self.facts[alias].condemned = True

    def do_keep(self, server: Replica, a: int, b: int, fate: str) -> None:
        """That is called off."""
        waiting = server.keystore.few(KeyState.DESTROY_PENDING)
        if waiting:
            alias = waiting[b % len(waiting)].alias
            if self._commit(server, server.keystore.keep([alias]), fate):
                self.facts[alias].condemned = False

    def do_destroy(self, server: Replica, a: int, b: int, fate: str) -> None:
        """Keys whose time has come are destroyed (destroying.Destroyer); at times all is quiet before."""
        if a % 5 == 0:
            self.settle()
        if self._careful and not self.are_complete(server):
            return
        gone = server.keystore.destroy_due(server.now_us(), 2)
        for key in gone:
            assert self.facts[key.alias].condemned, "a key was destroyed though that was called off"
        if self._commit(server, gone, fate):
            for key in gone:
                self.facts[key.alias].destroyed = True

    def do_move(self, server: Replica, a: int, b: int, fate: str) -> None:
        """An unused key is put into another group."""
        with suppress(KeyInUse):
            self._commit(server, server.allocator.move([self._any(server, b)], GROUPS[a % 3][0]), fate)

    def do_make(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A pool is filled up."""
        group = GROUPS[b % 3][0]
        missing = server.allocator.needs_refill(group) if b % 3 == 0 else 2
        if server.allocator.knows(group) and missing:
            self._make(server, group, min(missing, 4), fate)

    def do_import(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A key comes from elsewhere, perhaps at several servers at once."""
        alias, material = f"OLD{b % 8}", bytes([b % 8]) * 32
        if server.keystore.has(alias):
            return
        changes: list[Change] = []
        if not server.allocator.knows("imported"):
            changes += server.allocator.create("imported", OnExhaustion.REFUSE)
        changes.append(server.keystore.take_in(alias, Secret(material), "imported"))
        if self._commit(server, changes, fate):
            self.facts.setdefault(alias, Fact(material)).there = True

    def do_drive(self, server: Replica, a: int, b: int, fate: str) -> None:
        """A drive is entered, changed, given a key of its own, or removed."""
        serial, registry = SERIALS[a % 4], server.registry
        with suppress(QekmError):
            if registry.find(serial) is None:
                self._commit(server, registry.create(Drive(serial, DriveState.ACCEPTED, 1)), fate)
            elif b % 4 == 0:
                self._commit(server, registry.delete(serial), fate)
            elif b % 4 == 1:
                alias = self._any(server, b)
                server.allocator.check_own(alias, serial)
                self.facts[alias].shared = True
                server.registry.check_unique("alias", alias, serial)
                key = server.allocator.bind(Drive(serial, DriveState.ACCEPTED, 1, alias=alias))
                self._commit(server, [*registry.update(serial, alias=alias), *key], fate)
            else:
                self._commit(server, registry.update(serial, group=GROUPS[b % 3][0], alias=""), fate)

    def do_group(self, server: Replica, a: int, b: int, fate: str) -> None:
        """Groups come, change and go."""
        name, allocator = f"extra{a % 2}", server.allocator
        with suppress(QekmError):
            if not allocator.knows(name):
                self._commit(server, allocator.create(name, OnExhaustion.REFUSE), fate)
            elif b % 3 == 0:
                self._commit(server, allocator.delete(name), fate)
            elif b % 3 == 1:
                self._commit(server, allocator.move([self._any(server, b)], name), fate)
            else:
                self._commit(server, allocator.update(GROUPS[a % 3][0], is_default=True), fate)

    def do_account(self, server: Replica, a: int, b: int, fate: str) -> None:
        """Persons get passwords, mistype and lose them."""
        actor, accounts = f"operator/{a % 3}", server.accounts
        if actor not in accounts:
            self._commit(server, [accounts.create(actor, bytes([b % 256]))], fate)
        elif b % 5 == 0:
            self._commit(server, [accounts.delete(actor)], fate)
        else:
            self._commit(
                server, [accounts.change(actor, bytes([b % 256])) if b % 2 else accounts.fail(actor)], fate
            )


ACTIONS = tuple(name[3:] for name in dir(Islanders) if name.startswith("do_"))
