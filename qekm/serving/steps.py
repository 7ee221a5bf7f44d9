"""Decide each step of a drive's session: a frame in, a frame or a fault and the changes to commit out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from qekm import audit
from qekm.allocator import Allocator
from qekm.clock import steady_us
from qekm.dkp.codes import Code, Fault
from qekm.dkp.fields import MessageType, Tag
from qekm.dkp.frame import Frame
from qekm.dkp.messages import check_flags, check_missing, named_dki
from qekm.drives import Registry
from qekm.errors import QekmError
from qekm.keystore import Keystore, never_given
from qekm.model import AuditRecord, Change, KeyState
from qekm.serving import giving, replies
from qekm.serving.authenticating import authenticate, check_standing, take_signed
from qekm.serving.concluding import conclude
from qekm.serving.desk import Changes, Desk, Diagnosis
from qekm.serving.faults import fault_of
from qekm.serving.opening import open_session
from qekm.serving.policy import Policy, Settings, policy_of
from qekm.serving.sessions import Session, Sessions, State
from qekm.signing import FrameSigner
from qekm.source import host_of

MAX_PROVED = 65_536  # (drive, code) pairs whose refusals are told apart in one minute


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one frame, and what must be on disk before it leaves.

    session_id and sequence head the answer, be it a frame or the ERROR that a fault becomes.
    """

    reply: Frame | Fault
    changes: tuple[Change, ...]
    session_id: int
    sequence: int


class Serving:
    """All sessions of all gateways.

    `strangers` counts the refusals of those who proved nothing, `proved` those of drives that did.
    """

    def __init__(  # noqa: PLR0913, PLR0917  a conversation brings its owners together
        self,
        keystore: Keystore,
        allocator: Allocator,
        registry: Registry,
        signer: FrameSigner,
        chain: tuple[bytes, ...],
        settings: Settings,
        now_us: Callable[[], int],
        random_bytes: Callable[[int], bytes],
        diagnosis_authority: bytes | None = None,
        elapsed_us: Callable[[], int] = steady_us,
    ) -> None:
        """Serve with these owners; `chain` are the certificates of the signer's key, leaf first, DER.

        diagnosis_authority: the DER certificate that gateways' test drives chain to; None for no diagnosis.
        """
        diagnosis = None if diagnosis_authority is None else Diagnosis(diagnosis_authority, random_bytes)
        policy = policy_of(settings)
        self._desk = Desk(
            keystore, allocator, registry, signer, chain, policy, random_bytes, diagnosis, elapsed_us
        )
        self._now_us = now_us
        self._sessions = Sessions()
        self.newcomers: dict[str, str] = {}  # vendors of drives that proved themselves and have no entry yet
        self.strangers = audit.Strangers()
        self.proved = audit.Strangers(most=MAX_PROVED)

    def decide(self, frame: Frame, source: str, gateway: str) -> Decision:
        """Answer a client's frame. source: its host:port. Only this gateway may go on with the session."""
        now_us = self._now_us()
        changes: Changes = []
        session: Session | None = None
        try:
            if frame.type == MessageType.DRIVER_ERROR_NOTIFY:
                return self._open(frame, source, gateway, changes)
            session = self._sessions.find(frame.session_id, gateway, self._desk.elapsed_us())
            reply = self._go_on(session, frame, now_us, changes)
            return Decision(reply, tuple(changes), reply.session_id, reply.sequence)
        except Fault as refusal:
            fault = refusal
        except QekmError as error:
            fault = fault_of(error)
        sequence = 2 if session is None else session.sequence + 2
        self._refuse(session, fault, frame, host_of(source), now_us, changes)
        return Decision(fault, tuple(changes), 0 if session is None else session.id, sequence)

    def end(self, session_id: int, code: int, message: str, gateway: str | None = None) -> tuple[Change, ...]:
        """Record that a session ended at its gateway; code is ASC << 8 | ASCQ, 0 if nothing was wrong."""
        changes: Changes = []
        session = self._sessions.peek(session_id)
        if session is not None and gateway in (None, session.gateway):
            self._end(session, f"{code:04X}" if code else "", message, self._now_us(), changes)
        return tuple(changes)

    def leave(self, gateway: str) -> tuple[Change, ...]:
        """End the sessions that a gateway leaves behind: nobody can answer for it any more."""
        now_us = self._now_us()
        changes: Changes = []
        for session in self._sessions.of(gateway):
            self._end(session, Code.EE0E.name, "the gateway left", now_us, changes)
        return tuple(changes)

    def expire(self) -> tuple[Change, ...]:
        """End the sessions whose time is over, tell what a minute of strangers left; call it every second."""
        now_us = self._now_us()
        changes: Changes = [*self.strangers.flush(now_us), *self.proved.flush(now_us)]
        for session in self._sessions.expired(self._desk.elapsed_us()):
            self._end(session, Code.EE0E.name, "the session took too long", now_us, changes)
        return tuple(changes)

    @property
    def session_count(self) -> int:
        """Return how many conversations with drives are under way."""
        return len(self._sessions)

    def drain(self) -> tuple[Change, ...]:
        """Return what was counted and not yet written, before the service stops."""
        return (*self.strangers.drain(), *self.proved.drain())

    def recover(self) -> tuple[Change, ...]:
        """Put aside, at start-up, every key whose session a stop of the service cut off."""
        now_us = self._now_us()
        desk, keystore = self._desk, self._desk.keystore
        changes: Changes = []
        for key in keystore.in_state(KeyState.ASSIGNED):
            if never_given(key) or not keystore.is_own(key):  # kept for a drive; or another server's to end
                continue
            drive = desk.registry.find(key.drive_serial)
            subject = audit.Subject(key.drive_serial, drive.wwnn if drive else b"", key.volser)
            changes.append(keystore.mark(key, KeyState.SUSPECT))
            changes.append(
                audit.key_suspected(now_us, subject, key.alias, "the service stopped in mid-session")
            )
        for drive in desk.registry.entries():
            with suppress(QekmError):  # told when the drive asks for its key
                changes += desk.allocator.bind(drive)
        return tuple(changes)

    def turn_away(
        self, now_us: int, host: str, code: str, message: str, drive_serial: str, count: int = 1
    ) -> list[AuditRecord]:
        """Count refusals of a stranger at `host`, as qekm.source has it; return what is to be written now."""
        return self.strangers.refuse(now_us, audit.stranger(host), code, message, drive_serial, count)

    def configure(self, policy: Policy) -> None:
        """Serve by another policy; sessions under way end when they were to end."""
        self._desk.policy = policy

    def require_peer(self, is_alone: Callable[[], bool]) -> None:
        """Give no new key while this says that no other server would know of it."""
        self._desk.is_alone = is_alone

    def present(self, chain: tuple[bytes, ...]) -> None:
        """Show drives these certificates of the signer's key from now on, leaf first, DER."""
        self._desk.chain = chain

    def _open(self, frame: Frame, source: str, gateway: str, changes: Changes) -> Decision:
        if frame.session_id or frame.sequence != 1:
            raise Fault(Code.EE2D, "a session begins with session id 0 and sequence 1")
        check_missing(frame)
        check_flags(frame)
        desk, host = self._desk, host_of(source)
        session = open_session(desk, frame, gateway, host)
        if session is None:
            return Decision(replies.NO_OPERATION, tuple(changes), 0, 2)
        self._sessions.add(session, desk.policy.sessions_per_source)
        reply = replies.query_dsk(desk, session)
        return Decision(reply, tuple(changes), session.id, reply.sequence)

    def _go_on(self, session: Session | None, frame: Frame, now_us: int, changes: Changes) -> Frame:
        if session is None:
            raise Fault(Code.EE2D, "there is no such session")
        if frame.type != session.state.value or frame.sequence != session.sequence + 1:
            raise Fault(Code.EE2D, "this is not what the session waits for")
        check_missing(frame)
        check_flags(frame)
        desk = self._desk
        if session.state is State.STATUS:
            reply = conclude(desk, session, frame, now_us, changes)
            self._forget(session)
            return reply
        if session.state is State.DSK:
            authenticate(desk, session, frame, now_us, changes)
            self._remember(session)
        else:
            self._take_dki(session, frame)
        return giving.answer(desk, session, now_us, changes)

    def _remember(self, session: Session) -> None:
        """Keep the vendor of a drive without an entry, for the logs; the oldest makes room."""
        if session.unknown:
            if len(self.newcomers) >= MAX_PROVED:
                del self.newcomers[next(iter(self.newcomers))]
            self.newcomers[session.claim.serial] = session.claim.vendor

    def _take_dki(self, session: Session, frame: Frame) -> None:
        assert session.identity is not None
        take_signed(session, frame, session.identity.verifier)
        check_standing(self._desk, session)
        session.dki = named_dki(frame)

    def _refuse(
        self, session: Session | None, fault: Fault, frame: Frame, host: str, now_us: int, changes: Changes
    ) -> None:
        """Record a refusal and end the session; nobody fills the trail by being refused."""
        code = fault.code.name
        if session is None:
            serial = (frame.get(Tag.DRIVE_SERIAL) or b"")[:16].decode("ascii", "replace")
            changes += self.turn_away(now_us, host, code, fault.text, serial)
            return
        if session.identity is None:
            changes += self.turn_away(now_us, host, code, fault.text, session.claim.serial)
        else:
            record = audit.drive_refused(now_us, session.subject, session.alias, code, fault.text)
            changes += self.proved.count(record)
            giving.suspect(self._desk, session, now_us, f"the session was refused with {code}", changes)
        self._forget(session)

    def _end(self, session: Session, code: str, message: str, now_us: int, changes: Changes) -> None:
        if session.identity is not None:
            if code:
                record = audit.session_ended(now_us, session.subject, session.alias, code, message)
                changes += self.proved.count(record)
            giving.suspect(self._desk, session, now_us, message or "the session ended", changes)
        elif code:
            changes += self.turn_away(now_us, session.source, code, message, session.claim.serial)
        self._forget(session)

    def _forget(self, session: Session) -> None:
        self._sessions.remove(session.id)
        latest = self._desk.latest
        if latest.get(session.claim.serial) is session:
            del latest[session.claim.serial]
