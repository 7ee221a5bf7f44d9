"""Allocation and sessions against a small model, whatever happens in whatever order.

Drives ask, retry, fall silent, fail; the service goes away at any moment, before or after a commit. What must
hold: no key is ever given to two mounts, no mount with an id ever gets two keys, memory and disk agree.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from qekm.dkp.codes import Fault
from qekm.dkp.fields import MessageType, Tag
from qekm.dkp.frame import Frame
from qekm.model import KeyState
from tests.fakes.drive import CREATE, OPTIONAL, TRANSLATE, DriveSession
from tests.fakes.estate import Estate

SERIALS = ("001300000392", "001310000363")
USABLE = {KeyState.ASSIGNED, KeyState.SUSPECT, KeyState.ACTIVE}
Mount = tuple[Any, ...]

drives = st.integers(0, len(SERIALS) - 1)
mounts = st.sampled_from([0, 1, 1, 2])  # 0: without an id
volsers = st.sampled_from(["A", "A", "A", "B", ""])
asks = st.sampled_from([CREATE, CREATE, OPTIONAL])
places = st.integers(0, 1_000)
fates = st.sampled_from(["kept"] * 6 + ["lost", "crash"])


class Allocation(RuleBasedStateMachine):
    """Sessions wait in two lists: those that prove themselves next, and those that report next."""

    @initialize(keys=st.sampled_from([0, 3, 12]))
    def found(self, keys: int) -> None:
        """Begin with so many keys."""
        self.estate = Estate(keys=keys)
        self.drives = [self.estate.drive(serial) for serial in SERIALS]
        self.proving: list[DriveSession] = []
        self.holding: list[DriveSession] = []
        self.mounts: dict[str, Mount] = {}  # alias -> the mount that was given it
        self.aliases: dict[Mount, str] = {}  # mount -> its key
        self.installed: set[str] = set()
        self.number = 0

    @rule(drive=drives, mount=mounts, volser=volsers, ask=asks)
    def ask(self, drive: int, mount: int, volser: str, ask: int) -> None:
        """A drive wants to write and gets as far as message 01."""
        mount_id = bytes(15) + bytes((mount,)) if mount else b""
        session = self.drives[drive].session(ask=ask, mount_id=mount_id, volser=volser)
        self.proving.append(self.estate.begin(session))

    @rule(drive=drives, mount=mounts, volser=volsers, ask=asks, fate=fates)
    def write(self, drive: int, mount: int, volser: str, ask: int, fate: str) -> None:
        """A drive wants to write and gets its key."""
        self.ask(drive, mount, volser, ask)
        self.prove(-1, fate)

    @precondition(lambda self: self.mounts)
    @rule(drive=drives, place=places)
    def read(self, drive: int, place: int) -> None:
        """A drive wants to read what may have been written."""
        aliases = sorted(self.mounts)
        key = self.estate.keystore.by_alias(aliases[place % len(aliases)])
        session = self.estate.give(self.drives[drive].session(ask=TRANSLATE, dki=key.dki))
        assert session.data_key == self.estate.keystore.open(key).reveal()
        self.holding.append(session)

    @precondition(lambda self: self.proving)
    @rule(place=places, fate=fates)
    def prove(self, place: int, fate: str) -> None:
        """Message 02; its answer may be lost on the way, or the service before it is durable."""
        session = self.proving.pop(place % len(self.proving))
        decision = self.estate.serving.decide(session.reply_dsk(), "10.0.0.1:1", "g1")
        self.holding.append(session)
        if fate == "crash":
            self.estate.restart()
            return
        self.estate.disk.commit(decision.changes)
        if isinstance(decision.reply, Fault):
            assert decision.reply.code.name in ("EE2D", "EE31", "EE34"), decision.reply
            return
        self.note(session, decision.reply)
        if fate == "kept":
            session.take(decision.reply)

    def note(self, session: DriveSession, reply: Frame) -> None:
        """Hold an answer against what was given before."""
        assert reply.type == MessageType.SET_KEY
        alias = (reply.get(Tag.KEY_ALIAS) or b"").decode()
        self.number += 1
        named = (session.drive.serial, session.mount_id, session.volser)
        mount: Mount = named if session.mount_id else (self.number,)
        assert self.mounts.setdefault(alias, mount) == mount, "a key was given to two mounts"
        assert self.aliases.setdefault(mount, alias) == alias, "a mount was given two keys"

    @precondition(lambda self: self.holding)
    @rule(place=places, installed=st.sampled_from([True, True, True, False]), fate=fates)
    def report(self, place: int, installed: bool, fate: str) -> None:
        """Message 04; the service may be lost before it is durable."""
        session = self.holding.pop(place % len(self.holding))
        decision = self.estate.serving.decide(session.status(installed), "10.0.0.1:1", "g1")
        if fate == "crash":
            self.estate.restart()
            return
        self.estate.disk.commit(decision.changes)
        if isinstance(decision.reply, Fault):
            assert decision.reply.code.name == "EE2D", decision.reply
        elif installed and session.ask != TRANSLATE:
            self.installed.add(session.alias)

    @precondition(lambda self: self.holding)
    @rule(place=places)
    def leave(self, place: int) -> None:
        """A connection ends in mid-session."""
        session = self.holding.pop(place % len(self.holding))
        self.estate.disk.commit(self.estate.serving.end(session.session_id, 0xEE0E, "closed"))

    @rule(seconds=st.sampled_from([1, 1, 60, 121]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.estate.now += seconds * 1_000_000
        self.estate.disk.commit(self.estate.serving.expire())

    @rule(count=st.integers(0, 2))
    def refill(self, count: int) -> None:
        """New keys are made; none: the service starts anew."""
        if count:
            self.estate.disk.commit(self.estate.keystore.generate(count, "default"))
        else:
            self.estate.restart()

    @invariant()
    def memory_and_disk_agree(self) -> None:
        """What a restart would find is what is there."""
        if hasattr(self, "estate"):
            keys = {key.alias: key for key in self.estate.keystore.page(limit=1_000)}
            assert keys == self.estate.disk.keys

    @invariant()
    def every_key_that_was_given_is_kept_for_its_mount(self) -> None:
        """It is recorded before it leaves, never READY again, and stays ACTIVE once it was installed."""
        if hasattr(self, "estate"):
            keys = self.estate.disk.keys
            assert {keys[alias].state for alias in self.mounts} <= USABLE
            assert {keys[alias].state for alias in self.installed} <= {KeyState.ACTIVE}
            created = (record.alias for record in self.estate.disk.trail if record.event == "key.create")
            assert set(self.mounts) <= set(created)

    @invariant()
    def a_key_in_mid_session_has_a_session(self) -> None:
        """No key stays ASSIGNED once nobody can report on it."""
        if hasattr(self, "estate"):
            assigned = self.estate.keystore.counts()[KeyState.ASSIGNED]
            serving = self.estate.serving
            assert assigned <= len(serving._desk.latest) <= len(serving._sessions)


Allocation.TestCase.settings = settings(max_examples=30, stateful_step_count=60, deadline=None)
TestAllocation = Allocation.TestCase
