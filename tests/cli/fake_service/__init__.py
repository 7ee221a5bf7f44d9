"""A service in memory with the shape of qekm.client.Client: what the commands are tried against.

It keeps what it is told, answers in pages of two so that paging is always tried, and raises the errors
of qekm.errors as the real client does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .approvals import FakeApprovals
from .audit import FakeAudit
from .backups import FakeBackups
from .certificates import FakeCertificates
from .diagnosis import FakeDiagnosis
from .drives import FakeDrives
from .groups import FakeGroups
from .keystore import FakeKeystore
from .parts import ALIAS, NOW, key
from .server import FakeServer
from .sharing import FakeSharing
from .slots import FakeSlots

__all__ = ["ALIAS", "NOW", "FakeService", "key"]


class FakeService:
    """All services together, and what connects to them."""

    def __init__(self) -> None:
        self.keystore = FakeKeystore()
        self.approvals = FakeApprovals()
        self.groups = FakeGroups()
        self.drives = FakeDrives()
        self.audit = FakeAudit()
        self.backups = FakeBackups()
        self.server = FakeServer()
        self.certificates = FakeCertificates()
        self.slots = FakeSlots()
        self.sharing = FakeSharing(self.keystore)
        self.diagnosis = FakeDiagnosis()
        self.connections: list[tuple[str | None, str | None, str]] = []

    @contextmanager
    def connect(self, home: str | None, target: str | None, identity: str) -> Iterator[Any]:
        """Give itself as the client and note who wanted it."""
        self.connections.append((home, target, identity))
        yield self
