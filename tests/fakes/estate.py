"""A key manager in memory, without store and gRPC: real owners, real cryptography, a clock to turn."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from qekm.allocator import Allocator
from qekm.dkp.codes import Fault
from qekm.dkp.frame import Frame
from qekm.drives import Registry
from qekm.keystore import Keystore
from qekm.model import (
    AuditRecord,
    Authority,
    Cartridge,
    Change,
    Drive,
    Group,
    Key,
    OnExhaustion,
)
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.serving import Decision, Serving
from qekm.signing import FrameSigner
from tests.fakes.drive import DriveSession, FakeDrive
from tests.fakes.drive_authority import DriveAuthority

ROOT, ESTATE = bytes(range(32)), bytes(range(16))
START_US = 1_800_000_000_000_000
SETTINGS: dict[str, Any] = {
    "drive.acceptUnknownDrives": "true",
    "drive.optionalEncryption": "create",
    "drive.creationsPerHour": 120,
    "dkp.sessionTimeout": 120,
    "dkp.connectionsPerAddress": 64,
}


@dataclass
class Refused(Exception):
    """The service answered with a fault."""

    fault: Fault
    changes: tuple[Change, ...]


@dataclass
class Disk:
    """What was committed: the last of each row, and every record."""

    keys: dict[str, Key] = field(default_factory=dict)
    drives: dict[str, Drive] = field(default_factory=dict)
    cartridges: list[Cartridge] = field(default_factory=list)
    trail: list[AuditRecord] = field(default_factory=list)
    units: list[tuple[Change, ...]] = field(default_factory=list)

    def commit(self, unit: Iterable[Change]) -> None:
        """Take one unit."""
        unit = tuple(unit)
        self.units.append(unit)
        for change in unit:
            if isinstance(change, Key):
                known = self.keys.get(change.alias)
                assert known is None or change.version > known.version
                self.keys[change.alias] = change
            elif isinstance(change, Drive):
                self.drives[change.serial] = change
            elif isinstance(change, Cartridge):
                self.cartridges.append(change)
            elif isinstance(change, AuditRecord):
                self.trail.append(change)

    def events(self) -> list[str]:
        """Return event and outcome of every record."""
        return [f"{record.event} {record.outcome.name}" for record in self.trail]


class Estate:
    """Owners and Serving over a disk; `restart` builds them anew from what was committed."""

    def __init__(
        self,
        keys: int = 4,
        policy: OnExhaustion = OnExhaustion.REFUSE,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.now = START_US
        self.set_by = 0  # microseconds by which the date was set
        self.settings = SETTINGS | (settings or {})
        self.authority = DriveAuthority()
        self.tests = DriveAuthority("Tests")
        self.server_key = ec.generate_private_key(ec.SECP256R1())
        server = DriveAuthority("Server", key=self.server_key)
        self.chain = (server.certificate,)
        self.disk = Disk()
        self.groups = [Group("default", policy, True, self.now)]
        self.build()
        self.disk.commit(self.keystore.generate(keys, "default"))

    def build(self) -> None:
        """Make owners and Serving from the disk."""
        ring = KeyRing(Secret(ROOT), ESTATE)
        clock = lambda: self.now + self.set_by  # noqa: E731
        self.keystore = Keystore(self.disk.keys.values(), ring, clock, os.urandom, "0A1B2C3D4E")
        self.allocator = Allocator(self.groups, self.keystore, clock)
        anchors = [Authority(b"f", self.authority.certificate, "", 0, 0)]
        self.registry = Registry(self.disk.drives.values(), anchors, (), clock)
        self.serving = Serving(
            self.keystore,
            self.allocator,
            self.registry,
            FrameSigner(self.server_key),
            self.chain,
            self.settings,
            clock,
            os.urandom,
            self.tests.certificate,
            lambda: self.now,
        )

    def restart(self) -> None:
        """Lose the memory, keep the disk."""
        self.build()
        self.disk.commit(self.serving.recover())

    def drive(self, serial: str = "001300000392", **options: Any) -> FakeDrive:
        """Return a drive of this estate's authority."""
        return FakeDrive(self.authority, serial, **options)

    def decide(self, frame: Frame, source: str = "10.0.0.1:4000", gateway: str = "g1") -> Decision:
        """Have a frame decided and commit what it changed."""
        decision = self.serving.decide(frame, source, gateway)
        self.disk.commit(decision.changes)
        return decision

    def ask(self, frame: Frame, **where: str) -> Frame:
        """Return the answer to a frame; Refused."""
        decision = self.decide(frame, **where)
        if isinstance(decision.reply, Fault):
            raise Refused(decision.reply, decision.changes)
        assert (decision.session_id, decision.sequence) == (
            decision.reply.session_id,
            decision.reply.sequence,
        )
        return decision.reply

    def begin(self, session: DriveSession) -> DriveSession:
        """Bring a session as far as the server's challenge."""
        session.take(self.ask(session.notify()))
        return session

    def give(self, session: DriveSession, named: bytes = b"") -> DriveSession:
        """Bring a session as far as the key; `named` answers a QUERY_DKI."""
        self.begin(session)
        session.take(self.ask(session.reply_dsk()))
        if named:
            session.take(self.ask(session.reply_dki(named)))
        return session

    def run(self, session: DriveSession, installed: bool = True, named: bytes = b"") -> DriveSession:
        """Run a whole session."""
        self.give(session, named)
        session.take(self.ask(session.status(installed)))
        return session

    def refused(self, frame: Frame, **where: str) -> str:
        """Return the code with which a frame is refused."""
        try:
            self.ask(frame, **where)
        except Refused as refused:
            return refused.fault.code.name
        return ""
