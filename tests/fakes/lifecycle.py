"""The life of keys twice: the program's deciding code over a simulated disk, and a small model beside it.

A step is an action, two numbers and the fate of its commit: kept, lost (the machine died before it), or died
(just after it). Whoever drives it, chance or hypothesis, a world of the same steps goes the same way. What
must hold is asserted after each step; `Fate` shares no code with the program.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from qekm.allocator import Allocator
from qekm.approvals import Act, Approvals
from qekm.errors import (
    KeyInUse,
    PoolEmpty,
    QekmError,
    ReadOnly,
    SameSubject,
    TooMany,
    UnknownApproval,
    UnknownKey,
)
from qekm.keystore import Keystore, never_given
from qekm.model import Approval, Change, Drive, DriveState, Group, Key, KeyState, OnExhaustion
from qekm.sealing import KeyRing
from qekm.secret import Secret

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
WAIT_US = 7 * DAY_US
PEOPLE = ("administrator/alice", "custodian/bob", "administrator/carol")
GROUPS = (("refuses", OnExhaustion.REFUSE), ("refills", OnExhaustion.REFILL), ("reuses", OnExhaustion.REUSE))
SERIALS = ("1", "2", "3")
KEPT, LOST, DIED = "kept", "lost", "died"
RING = KeyRing(Secret(bytes(range(32))), bytes(16))
_OUT = {KeyState.READY, KeyState.GENERATED}

Step = tuple[str, int, int, str]
Mount = tuple[str, bytes, str]


class Disk:
    """What was committed: the last of each row."""

    def __init__(self) -> None:
        self.keys: dict[str, Key] = {}
        self.approvals: dict[str, Approval] = {}

    def commit(self, unit: Iterable[Change]) -> None:
        """Take one unit."""
        for change in unit:
            if isinstance(change, Key):
                self.keys[change.alias] = change
            elif isinstance(change, Approval):
                self.approvals[change.approval_id] = change


@dataclass
class Fate:
    """What is true of one key, as an outsider knows it."""

    material: bytes
    mounts: set[object] = field(default_factory=set)  # that it was given to for writing
    left: bool = False  # the pool, for good
    shared: bool = False  # by a group that reuses, or as a drive's own
    due_us: int = 0  # it is condemned
    destroyed: bool = False


@dataclass
class Session:
    """A drive that was given a key and has not told yet."""

    alias: str
    version: int


class World:
    """One estate. `parts` are the program's; a control hands in broken ones."""

    def __init__(
        self,
        keystore: type[Keystore] = Keystore,
        approvals: type[Approvals] = Approvals,
        disk: Callable[[], Disk] = Disk,
        waits: bool = False,
    ) -> None:
        """waits: whether new keys wait for a backup."""
        self._parts, self._waits = (keystore, approvals), waits
        self.now_us = 1_800_000_000_000_000
        self.disk = disk()
        self.fates: dict[str, Fate] = {}
        self.granted: dict[tuple[str, str], tuple[str, int]] = {}  # who asked, key -> who granted, its end
        self.asked: dict[bytes, str] = {}  # digest of a request -> its key
        self.own: dict[str, str] = {}  # drive -> the alias in its entry
        self.count = 0
        self._build()
        self._keep(self.keystore.generate(4, "refuses"))
        self._keep(self.keystore.generate(3, "reuses"))
        self._keep(self.keystore.generate(3, "refills"))
        self.check_all()

    def _build(self) -> None:
        """Make the owners from the disk."""
        self._died = False
        keystore, approvals = self._parts
        first = KeyState.GENERATED if self._waits else KeyState.READY
        self.keystore = keystore(
            self.disk.keys.values(), RING, lambda: self.now_us, os.urandom, "0A1B2C3D4E", 1, first
        )
        groups = [Group(name, policy, name == "refuses", 1) for name, policy in GROUPS]
        self.allocator = Allocator(groups, self.keystore, lambda: self.now_us)
        self.approvals = approvals(self.disk.approvals.values(), lambda: self.now_us, os.urandom)
        self.sessions: list[Session] = []

    def restart(self) -> None:
        """Lose the memory, keep the disk, and put right what was cut off (serving.Serving.recover)."""
        self._build()
        for key in self.keystore.in_state(KeyState.ASSIGNED):
            if not never_given(key):
                self._keep([self.keystore.mark(key, KeyState.SUSPECT)])
        self.check_all(opens=False)

    def step(self, action: str, a: int, b: int, fate: str) -> None:
        """Do one thing and check what it touched."""
        self.count += 1
        touched = getattr(self, f"do_{action}")(a, b, fate)
        if self._died:
            self.restart()
        for alias in touched:
            if alias in self.fates:
                self.check(alias)

    # What may happen. Each returns the aliases that it touched.

    def do_make(self, a: int, b: int, fate: str) -> Sequence[str]:
        """Somebody makes keys."""
        try:
            keys = self.keystore.generate(1 + a % 3, GROUPS[b % 3][0])
        except ReadOnly:
            return ()
        return self._commit(keys, fate)

    def do_backup(self, a: int, b: int, fate: str) -> Sequence[str]:
        """A backup was verified that holds all keys up to one."""
        return self._commit(self.keystore.protect(self.keystore.created_seq - a % 4), fate)

    def do_take_in(self, a: int, b: int, fate: str) -> Sequence[str]:
        """A key comes from elsewhere."""
        try:
            key = self.keystore.take_in(f"EX{a % 50:04}", Secret(bytes([a % 256]) * 32), "refuses")
        except QekmError:
            return ()
        return self._commit([key], fate)

    def do_write(self, a: int, b: int, fate: str) -> Sequence[str]:
        """A drive wants a key for a new cartridge (serving/giving.py)."""
        serial = SERIALS[a % 3]
        mount: Mount = (serial, bytes([b % 4]) if b % 4 else b"", f"V{b % 2}")
        group = GROUPS[a // 3 % 3][0]
        changes: list[Change] = []
        again = self.keystore.by_mount(mount) if mount[1] else None
        try:
            key = again or self._choose(serial, group, changes)
            material = self.keystore.open(key).reveal()
            before = self.disk.keys.get(key.alias)
            key = self.keystore.assign(key, self.now_us, mount)
        except PoolEmpty as empty:
            self._check_empty(empty.details["group"])
            return ()
        except (ReadOnly, KeyInUse, UnknownKey):
            return ()
        touched = self._commit([*changes, key], fate)
        if fate != LOST:
            self._check_given(key.alias, mount, material, before, again is not None)
        if fate == KEPT:
            self.sessions.append(Session(key.alias, key.version))
        return (*touched, key.alias)

    def _choose(self, serial: str, group: str, changes: list[Change]) -> Key:
        drive = Drive(serial, DriveState.ACCEPTED, 1, alias=self.own.get(serial, ""), group=group)
        try:
            return self.allocator.choose(drive, self._is_named)
        except PoolEmpty:
            if group != "refills" or self._waits:
                raise
        changes += (made := self.keystore.generate(1, group))
        return made[0]

    def do_confirm(self, a: int, b: int, fate: str) -> Sequence[str]:
        """A drive installed its key (serving/concluding.py)."""
        if not self.sessions:
            return ()
        session = self.sessions.pop(a % len(self.sessions))
        key = self.keystore.by_alias(session.alias)
        if key.state not in (KeyState.ASSIGNED, KeyState.SUSPECT):
            return ()
        return self._commit([self.keystore.mark(key, KeyState.ACTIVE)], fate)

    def do_silence(self, a: int, b: int, fate: str) -> Sequence[str]:
        """A drive falls silent (serving/giving.py, suspect)."""
        if not self.sessions:
            return ()
        session = self.sessions.pop(a % len(self.sessions))
        key = self.keystore.by_alias(session.alias)
        if key.state is not KeyState.ASSIGNED or key.version != session.version:
            return ()
        return self._commit([self.keystore.mark(key, KeyState.SUSPECT)], fate)

    def do_read(self, a: int, b: int, fate: str) -> Sequence[str]:
        """A drive names any key at all (serving/giving.py)."""
        key = self._any(a)
        known = self.fates[key.alias]
        try:
            material = self.keystore.open(key).reveal()
        except (KeyInUse, UnknownKey):
            assert known.due_us or known.destroyed, f"{key.alias} is not readable, and nobody condemned it"
            return ()
        assert not known.due_us and not known.destroyed
        assert material == known.material
        if not never_given(key):
            return ()
        if key.state is KeyState.GENERATED or self.keystore.read_only:
            bound = key.state is KeyState.ASSIGNED
            new = self.keystore.mark(key, KeyState.SUSPECT if bound else KeyState.QUARANTINED)
        else:
            self.keystore.assign(key, self.now_us, (SERIALS[b % 3], b"", ""))
            new = self.keystore.mark(key, KeyState.SUSPECT)
        touched = self._commit([new], fate)
        if fate != LOST:
            known.left = True
        return touched

    def do_bind(self, a: int, b: int, fate: str) -> Sequence[str]:
        """A drive's entry names a key from now on, or none."""
        serial, key = SERIALS[a % 3], self._any(b)
        if a % 5 == 0:
            self.own.pop(serial, None)
            return ()
        if self._is_named(key.alias.lower()):
            return ()
        try:
            changes = self.allocator.bind(Drive(serial, DriveState.ACCEPTED, 1, alias=key.alias))
        except (KeyInUse, ReadOnly):
            return ()
        touched = self._commit(changes, fate)
        if fate != LOST:
            self.own[serial] = key.alias
            self.fates[key.alias].shared = self.fates[key.alias].left = True
        return touched

    def do_move(self, a: int, b: int, fate: str) -> Sequence[str]:
        """Somebody moves a key to another group."""
        try:
            return self._commit(self.keystore.move([self._any(a).alias], GROUPS[b % 3][0]), fate)
        except KeyInUse:
            return ()

    def do_retire(self, a: int, b: int, fate: str) -> Sequence[str]:
        """Somebody deactivates or compromises two keys, both or none."""
        keys = [self._any(a), self._any(a + b % 2)]
        state = KeyState.COMPROMISED if b % 3 else KeyState.PROCESS_ONLY
        try:
            changed = self.keystore.retire([key.alias for key in keys], state)
        except KeyInUse:
            return [key.alias for key in keys]
        return self._left(changed, fate)

    def do_destroy(self, a: int, b: int, fate: str) -> Sequence[str]:
        """Somebody asks for a destruction, or does what was approved (api/endings.py)."""
        who, alias = PEOPLE[a % 3], self._any(b).alias
        act = Act.of("destroy", "", alias.lower(), 7)
        self.asked[act.digest] = alias
        try:
            self.keystore.check([alias], KeyState.DESTROY_PENDING)
            used = self.approvals.use(act, who)
            if used is None:
                return self._commit([self.approvals.ask(act, who)], fate)
        except (KeyInUse, TooMany):
            return ()
        due_us = self.now_us + WAIT_US
        touched = self._commit([used, *self.keystore.condemn([alias], due_us)], fate)
        if fate != LOST:
            granter, end_us = self.granted.pop((who, alias), ("", 0))
            assert granter and granter != who, "nobody else approved this, or it was used before"
            assert self.now_us < end_us
            self.fates[alias].due_us, self.fates[alias].left = due_us, True
        return touched

    def do_grant(self, a: int, b: int, fate: str) -> Sequence[str]:
        """Somebody approves a request with a certificate of some age."""
        waiting = self.approvals.page()
        if not waiting:
            return ()
        who, asked = PEOPLE[a % 3], waiting[b % len(waiting)]
        issued_us = self.now_us - (a // 3 % 3) * 20 * HOUR_US
        try:
            granted = self.approvals.grant(asked.approval_id, who, issued_us)
        except SameSubject:
            assert who == asked.requester or issued_us > asked.create_time_us
            return ()
        except UnknownApproval:
            return ()
        assert who != asked.requester and issued_us <= asked.create_time_us, "nobody else may approve"
        self._commit([granted], fate)
        if fate != LOST:
            self.granted[asked.requester, self.asked[asked.digest]] = who, asked.create_time_us + DAY_US
        return ()

    def do_refuse(self, a: int, b: int, fate: str) -> Sequence[str]:
        """Somebody refuses a request."""
        waiting = self.approvals.page()
        if not waiting:
            return ()
        asked = waiting[b % len(waiting)]
        self._commit([self.approvals.refuse(asked.approval_id, PEOPLE[a % 3])], fate)
        if fate != LOST:
            self.granted.pop((asked.requester, self.asked[asked.digest]), None)
        return ()

    def do_keep(self, a: int, b: int, fate: str) -> Sequence[str]:
        """Somebody calls a destruction off."""
        pending = self.keystore.few(KeyState.DESTROY_PENDING)
        if not pending:
            return ()
        alias = pending[a % len(pending)].alias
        touched = self._commit(self.keystore.keep([alias]), fate)
        if fate != LOST:
            self.fates[alias].due_us = 0
        return touched

    def do_wait(self, a: int, b: int, fate: str) -> Sequence[str]:
        """Time passes; keys whose time has come are destroyed."""
        self.now_us += (a % 60) * HOUR_US
        touched: list[str] = []
        gone = self.keystore.destroy_due(self.now_us, 2)
        for key in gone:
            known = self.fates[key.alias]
            assert known.due_us and known.due_us <= self.now_us, "destroyed before its time"
        touched += self._commit(gone, fate)
        if fate != LOST:
            for key in gone:
                self.fates[key.alias].destroyed, self.fates[key.alias].due_us = True, 0
        return touched

    def do_refill(self, a: int, b: int, fate: str) -> Sequence[str]:
        """The upkeep fills a pool up."""
        missing = self.allocator.needs_refill("refills")
        return self._commit(self.keystore.generate(missing, "refills"), fate) if missing else ()

    def do_freeze(self, a: int, b: int, fate: str) -> Sequence[str]:
        """The store may be an old copy, says something; a restart says it is not."""
        self.keystore.freeze("" if self.keystore.read_only or a % 4 else "an old copy")
        return ()

    def do_crash(self, a: int, b: int, fate: str) -> Sequence[str]:
        """The machine dies."""
        self.restart()
        return ()

    # The commit, and what must hold.

    def _commit(self, changes: Sequence[Change], fate: str) -> Sequence[str]:
        """Let a commit have its fate; return the aliases in it."""
        aliases = [change.alias for change in changes if isinstance(change, Key)]
        if fate != LOST:
            self._keep(changes)
        self._died = fate != KEPT  # when the model knows what was kept
        return aliases

    def _keep(self, changes: Sequence[Change]) -> None:
        self.disk.commit(changes)
        for change in changes:
            if isinstance(change, Key) and change.alias not in self.fates:
                with RING.open_key(change) as material:
                    self.fates[change.alias] = Fate(bytes(material.reveal()))

    def _left(self, changed: Sequence[Key], fate: str) -> Sequence[str]:
        touched = self._commit(changed, fate)
        if fate != LOST:
            for key in changed:
                self.fates[key.alias].left = True
        return touched

    def _check_given(
        self, alias: str, mount: Mount, material: bytes, before: Key | None, again: bool
    ) -> None:
        """Check that a key may have left for a mount, and note that it did."""
        known = self.fates[alias]
        assert material == known.material
        assert not known.due_us and not known.destroyed, "given though it is condemned"
        if again:
            assert mount in known.mounts or known.shared, "given again to another mount"
        elif self.own.get(mount[0]) == alias or _is_reused(before):
            known.shared = True
        else:
            made_now = before is None and not self._waits
            assert made_now or (before is not None and before.state is KeyState.READY), "not from the pool"
            assert not known.left and not known.mounts, "given out twice"
        known.mounts.add(mount if mount[1] else (mount, self.count))
        known.left = True
        assert known.shared or len(known.mounts) == 1, "one key for two mounts"

    def _check_empty(self, group: str) -> None:
        ready = [key for key in self.disk.keys.values() if key.group == group and key.state is KeyState.READY]
        assert not ready or self.keystore.read_only, "refused though there are keys"

    def check(self, alias: str, opens: bool = True) -> None:
        """Check one key: memory, disk and what an outsider knows agree."""
        known, stored, key = self.fates[alias], self.disk.keys.get(alias), self.keystore.by_alias(alias)
        assert stored is not None, "a key was lost"
        assert key == stored, "memory is not what the disk is"
        assert not (known.left and stored.state in _OUT), "back in the pool"
        assert known.destroyed == (stored.state is KeyState.DESTROYED), "it did not stay destroyed"
        assert bool(known.due_us) == (stored.state is KeyState.DESTROY_PENDING)
        if known.destroyed:
            assert not stored.sealed and not stored.check_value
        elif opens and not known.due_us:
            assert self.keystore.open(key).reveal() == known.material, "it cannot be read"

    def check_all(self, opens: bool = True) -> None:
        """Check every key, and that none was lost; opens: that it can be read, too."""
        assert self.disk.keys.keys() == self.fates.keys(), "a key was lost"
        for alias in self.fates:
            self.check(alias, opens)

    def _any(self, number: int) -> Key:
        """Return one of the keys; the newest are more often asked for."""
        aliases = list(self.fates)
        return self.keystore.by_alias(aliases[-1 - number % min(len(aliases), 12)])

    def _is_named(self, folded: str) -> bool:
        return folded in {alias.lower() for alias in self.own.values()}


def _is_reused(before: Key | None) -> bool:
    return before is not None and before.state is KeyState.ACTIVE and before.group == "reuses"


ACTIONS = tuple(name.removeprefix("do_") for name in vars(World) if name.startswith("do_"))
