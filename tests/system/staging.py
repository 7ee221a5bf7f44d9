"""A key manager that serves no unknown drive, and drives that it knows, as many as a test wants."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.field_mask_pb2 import FieldMask

from qekm.clock import now_us
from qekm.dkp.codes import Ask
from qekm.dkp.fields import MessageType, Tag
from qekm.v1 import drives_pb2, groups_pb2, keystore_pb2
from qekm_gateway.simulator.authority import Authority, make_authority, wwnn_of
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand
from qekm_gateway.simulator.keys import make_session_key
from qekm_gateway.simulator.link import Connection, Server
from qekm_gateway.simulator.signatures import Signer
from tests.system.crafting import Conversation, Draft, Spoil
from tests.system.processes import Estate, made

SPENT, ELSEWHERE = "spent", "elsewhere"  # a group whose one key was given out; a group that is no drive's


def as_it_is(draft: Draft) -> None:
    """Change nothing."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong, and the code with which it is refused when nothing else is.

    prepare: before the session, returns the drive that plays it. meanwhile: just before the message is sent.
    """

    name: str
    code: str
    spoil: Spoil = as_it_is
    prepare: Callable[[Stage, Drive], Drive] = lambda _stage, drive: drive
    meanwhile: Callable[[Stage, Drive], None] = lambda _stage, _drive: None


@dataclass
class Stage:
    """The running key manager, an authority that it trusts and one that nobody does."""

    estate: Estate
    client: Any
    authority: Authority = field(default_factory=lambda: make_authority(now_us()))
    impostor: Authority = field(default_factory=lambda: make_authority(now_us()))
    private: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    dki: bytes = b""  # of a key that was given out

    def set_up(self) -> Stage:
        """Trust the authority, make the groups, and have the spent group's key taken."""
        der = self.authority.certificate.public_bytes(Encoding.DER)
        self.client.drives.CreateAuthority(drives_pb2.CreateAuthorityRequest(certificate=der))
        for name in (SPENT, ELSEWHERE):
            group = groups_pb2.Group(name=name, on_exhaustion=groups_pb2.ON_EXHAUSTION_REFUSE)
            self.client.groups.CreateGroup(groups_pb2.CreateGroupRequest(group=group))
        self.estate.unlock(self.client)
        list(self.client.keystore.GenerateKeys(keystore_pb2.GenerateKeysRequest(count=1, group=SPENT)))
        answer, conversation = self.play(self.drive(group=SPENT))
        assert answer[5] == MessageType.COMPLETE
        assert conversation.last is not None
        self.dki = (conversation.last.get(Tag.SET_DATA_ENCRYPTION) or b"")[-12:]
        return self

    @property
    def server(self) -> Server:
        """Return where drives connect."""
        return Server("127.0.0.1", self.estate.ports["tcp"])

    def drive(self, **entry: Any) -> Drive:
        """Make a drive and enter it in the registry."""
        serial = f"CRAFTED{next(self.numbers):05d}"
        drive = self.certified(serial, wwnn_of(serial))
        self.create(serial=serial, wwnn=drive.wwnn, product=drive.product, **entry)
        return drive

    def certified(self, serial: str, wwnn: bytes) -> Drive:
        """Make a drive that is in no registry."""
        private = ec.generate_private_key(ec.SECP256R1())
        certificate = self.authority.issue(serial, private, now_us())
        session_key = make_session_key(serial, Signer(private), self.private, now_us())
        return Drive(serial, wwnn, Signer(private), (certificate,), session_key=session_key)

    def create(self, **entry: Any) -> None:
        """Enter a drive in the registry."""
        self.client.drives.CreateDrive(drives_pb2.CreateDriveRequest(drive=drives_pb2.Drive(**entry)))

    def update(self, serial: str, **values: Any) -> None:
        """Change a drive's entry."""
        drive, mask = drives_pb2.Drive(serial=serial, **values), FieldMask(paths=list(values))
        self.client.drives.UpdateDrive(drives_pb2.UpdateDriveRequest(drive=drive, update_mask=mask))

    def play(self, drive: Drive, *flaws: Flaw, message: int = 0) -> tuple[bytes, Conversation]:
        """Play a session on a connection of its own; see `converse`."""
        with Connection(self.server) as link:
            return self.converse(link, drive, *flaws, message=message)

    def converse(
        self, link: Connection, drive: Drive, *flaws: Flaw, message: int = 0
    ) -> tuple[bytes, Conversation]:
        """Play a session with these flaws in one message; return the last frame, and how it was reached.

        Entries and drives are spoilt in reverse order of the checks: each flaw then finds what it needs, and
        the one that is checked first is there when the message comes.
        """
        for flaw in reversed(flaws):
            drive = flaw.prepare(self, drive)

        def spoil(draft: Draft) -> None:
            if draft.type == message:
                for flaw in reversed(flaws):
                    flaw.meanwhile(self, drive)
                for flaw in flaws:
                    flaw.spoil(draft)

        late = message == MessageType.QUERY_DKI_REPLY
        ask, dki = (Ask.TRANSLATE, self.dki) if late else (Ask.CREATE, b"")
        errand = Errand(ask, volser="E01001L4", mount_id=os.urandom(16), dki=dki, late=late)
        conversation = Conversation(link, drive, errand, spoil)
        return conversation.play(), conversation


@contextmanager
def staged(path: Path) -> Iterator[Stage]:
    """Run a key manager for a block."""
    with made(path, keys=1024, drive__acceptUnknownDrives="false") as estate:
        estate.start()
        estate.wait_gateway()
        with estate.client() as client:
            yield Stage(estate, client).set_up()
