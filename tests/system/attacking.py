"""Attackers of a running key manager: forged drives, drives that lie, frames that are changed on the wire."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

from qekm.dkp.codes import Ask
from qekm.dkp.frame import Frame, MessageType, Tag, build, parse, serialize
from qekm_gateway.simulator.anchors import Anchors, load_anchors
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.authority import Authority, make_authority, make_drive
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.errand import Errand, Outcome, Refused
from qekm_gateway.simulator.keys import SessionKey
from qekm_gateway.simulator.link import Connection, Server, converse
from qekm_gateway.simulator.signatures import Signer
from tests.system.interception import Change, intercepting, untouched
from tests.system.processes import Estate, made

SERIAL, OTHER = "001300000392", "001310000363"


def now_us() -> int:
    """Tell the time."""
    return time.time_ns() // 1000


@dataclass
class Site:
    """A running key manager, the authority it trusts, two of its drives, and what the drives believe."""

    estate: Estate
    authority: Authority
    drive: Drive
    other: Drive
    anchors: Anchors

    @property
    def port(self) -> int:
        """Where drives connect."""
        return self.estate.ports["tcp"]

    def ask(
        self, drive: Drive | None = None, *, port: int | None = None, session: type[Session] = Session
    ) -> Outcome:
        """Play one session, without retries."""
        errand = Errand(Ask.CREATE, volser="E01001L4", mount_id=os.urandom(16))
        playing = session(drive or self.drive, errand, self.anchors, os.urandom, now_us)
        with Connection(Server("127.0.0.1", port or self.port)) as connection:
            return converse(connection, playing)

    def refused(self, drive: Drive) -> int:
        """Play a session that must be refused; return the code."""
        with pytest.raises(Refused) as caught:
            self.ask(drive)
        assert drive.key is None
        return caught.value.number

    def cut(
        self,
        *,
        from_drive: Change = untouched,
        from_server: Change = untouched,
        session: type[Session] = Session,
    ) -> Outcome:
        """Play a session with someone on the wire."""
        with intercepting(self.port, from_drive=from_drive, from_server=from_server) as (port, _):
            return self.ask(port=port, session=session)


def forger(drive: Drive, **changes: object) -> Drive:
    """Copy a drive with something about it exchanged."""
    kept = {
        "serial": drive.serial,
        "wwnn": drive.wwnn,
        "signer": drive.signer,
        "certificates": drive.certificates,
        "session_key": drive.session_key,
    }
    return Drive(**(kept | changes))  # type: ignore[arg-type]


def numbers(made: SessionKey) -> rsa.RSAPublicNumbers:
    """Return modulus and exponent of a session key."""
    return made.private.public_key().public_numbers()


def on(kind: MessageType, change: Callable[[Frame], Frame]) -> Change:
    """Change frames of one type, whatever the signature says then."""
    return lambda raw: serialize(change(parse(raw))) if raw[5] == kind else raw


def with_tlv(frame: Frame, tag: Tag, value: bytes | None) -> Frame:
    """Exchange or remove a TLV."""
    tlvs = [(kind, value if kind == tag else old) for kind, old in frame.tlvs]
    return build(
        frame.type, frame.session_id, frame.sequence, [(kind, new) for kind, new in tlvs if new is not None]
    )


class Failing(Session):
    """Cannot unwrap the key that it is given."""

    def _unwrap(self, label: bytes, wrapped: bytes) -> bytes | None:
        return None


class Unproving(Session):
    """Signs a good status without proving the key: what a bridge that never unwrapped would do."""

    def _report(self, frame: Frame, outcome: Outcome) -> Frame:
        self.outcome = replace(outcome, note="no COMPLETE came")
        return self._reply(MessageType.KEY_STATUS, frame, (Tag.SENSE, outcome.status))


class Guessing(Session):
    """Proves another key than the one it was given."""

    def _report(self, frame: Frame, outcome: Outcome) -> Frame:
        assert outcome.key is not None
        answer = super()._report(frame, replace(outcome, key=replace(outcome.key, material=bytes(32))))
        self.outcome = replace(outcome, note="no COMPLETE came")
        return answer


class Typed(Signer):
    """Names another signature type than it makes."""

    def __init__(self, signer: Signer, kind: int) -> None:
        super().__init__(signer.private)
        self.type = kind


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Start a key manager that knows two drives."""
    authority = make_authority(now_us())
    with made(tmp_path_factory.mktemp("attacks") / "home", keys=128) as estate:
        estate.start()
        estate.wait_gateway()
        with estate.client() as client:
            from qekm.v1.drives_pb2 import CreateAuthorityRequest

            der = authority.certificate.public_bytes(Encoding.DER)
            client.drives.CreateAuthority(CreateAuthorityRequest(certificate=der))
        drive, other = (make_drive(authority, serial, now_us()) for serial in (SERIAL, OTHER))
        site = Site(estate, authority, drive, other, load_anchors([], [estate.home.trust]))
        assert site.ask(drive).confirmed
        assert site.ask(other).confirmed
        yield site


@pytest.fixture
def site(running: Site) -> Iterator[Site]:
    """Lend the key manager to a test, and see that it serves a drive after the attack as before."""
    for drive in (running.drive, running.other):
        drive.clear()
    yield running
    assert running.ask().confirmed
