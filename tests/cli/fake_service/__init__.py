"""A service in memory with the shape of qekm.client.Client: what the commands are tried against.

It keeps what it is told, answers in pages of two so that paging is always tried, and raises the errors
of qekm.errors as the real client does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from qekm.errors import PasswordNeeded
from qekm.v1.accounts_pb2 import LoginRequest

from .accounts import FakeAccounts
from .alarms import FakeAlarms
from .approvals import FakeApprovals
from .audit import FakeAudit
from .backups import FakeBackups
from .certificates import FakeCertificates
from .configuration import FakeConfiguration
from .diagnosis import FakeDiagnosis
from .drives import FakeDrives
from .groups import FakeGroups
from .keystore import FakeKeystore
from .parts import ALIAS, NOW, key
from .peers import FakePeers
from .report import FakeReport
from .server import FakeServer
from .sharing import FakeSharing
from .slots import FakeSlots

__all__ = ["ALIAS", "NOW", "FakeService", "key"]


class FakeService:
    """All services together, and what connects to them."""

    def __init__(self) -> None:
        self.accounts = FakeAccounts()
        self.keystore = FakeKeystore()
        self.alarms = FakeAlarms()
        self.approvals = FakeApprovals()
        self.groups = FakeGroups()
        self.peers = FakePeers()
        self.drives = FakeDrives()
        self.audit = FakeAudit()
        self.backups = FakeBackups()
        self.report = FakeReport()
        self.server = FakeServer()
        self.certificates = FakeCertificates()
        self.configuration = FakeConfiguration()
        self.slots = FakeSlots()
        self.sharing = FakeSharing(self.keystore)
        self.diagnosis = FakeDiagnosis()
        self.connections: list[tuple[str | None, str | None, str]] = []

    @contextmanager
    def connect(
        self,
        home: str | None,
        target: str | None,
        identity: str,
        *,
        session: bytes | None = None,
        password: Callable[[], str] | None = None,
        keep: Callable[[bytes, int], None] | None = None,
    ) -> Iterator[Any]:
        """Give itself as the client and note who wanted it; a password that it wants is asked for first."""
        self.connections.append((home, target, identity))
        self.accounts.session = session or b""
        try:
            self.accounts.check()
        except PasswordNeeded:
            if session and keep:
                keep(b"", 0)
            if password:
                answer = self.accounts.Login(LoginRequest(password=password().encode()))
                self.accounts.session = answer.session
                if keep:
                    keep(answer.session, answer.expire_time.ToMicroseconds())
        yield self
