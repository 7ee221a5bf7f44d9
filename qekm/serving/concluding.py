"""Message 04: a drive tells how installing the key ended, and proves that it holds it."""

from __future__ import annotations

import hmac

from qekm import audit
from qekm.claim import Accept
from qekm.dkp.codes import Code, Fault, sense_key_of
from qekm.dkp.fields import Tag
from qekm.dkp.frame import Frame
from qekm.errors import DriveExists
from qekm.model import Cartridge, Drive, KeyState, Outcome
from qekm.serving import replies
from qekm.serving.authenticating import take_signed
from qekm.serving.desk import Changes, Desk
from qekm.serving.giving import suspect
from qekm.serving.sessions import Session

_SENSE, _CONFIRMATION = int(Tag.SENSE), int(Tag.KEY_CONFIRMATION)
_GIVEN = (KeyState.ASSIGNED, KeyState.SUSPECT)


def conclude(desk: Desk, session: Session, frame: Frame, now_us: int, changes: Changes) -> Frame:
    """Check message 04, record its outcome and answer COMPLETE; Fault EE2E, EE29, EE25."""
    assert session.identity is not None
    earlier = session.transcript
    raw = take_signed(session, frame, session.identity.verifier)
    sense = frame.get(_SENSE) or b""
    installed = sense_key_of(sense) == 0
    _check_confirmation(session, frame, earlier, raw, installed)
    if session.diagnosis:
        outcome = Outcome.SUCCESS if installed else Outcome.FAILURE
        changes.append(audit.diagnosed(now_us, session.subject, session.alias, outcome))
    elif not installed:
        _record_failure(desk, session, sense, now_us, changes)
    elif session.alias:
        _record_key(desk, session, session.identity.spki_sha256, now_us, changes)
    else:
        changes.append(audit.key_withheld(now_us, session.subject, Outcome.SUCCESS))
        _touch(desk, session, changes)
    return replies.complete(desk, session)


def _check_confirmation(session: Session, frame: Frame, earlier: bytes, raw: bytes, installed: bool) -> None:
    """Check 0191 wherever it stands, and that it stands where it must; Fault EE29."""
    given = frame.get(_CONFIRMATION)
    if given is None:
        if installed and session.alias and session.must_confirm:
            raise Fault(Code.EE29, "the key confirmation is missing", (_CONFIRMATION, 0))
        return
    covered = earlier + raw[: len(raw) - sum(4 + len(value) for _, value in frame.tlvs[-2:])]
    expected = hmac.digest(session.confirmation_key, covered, "sha256") if session.alias else b""
    if not hmac.compare_digest(given, expected):
        raise Fault(Code.EE29, "the key confirmation is wrong", (_CONFIRMATION, 0))


def _record_key(desk: Desk, session: Session, spki_sha256: bytes, now_us: int, changes: Changes) -> None:
    """Record a key that the drive installed, and the drive itself; Fault EE25 before anything is changed."""
    drive = _enter(desk, session, spki_sha256)
    if session.created:
        key = desk.keystore.by_alias(session.alias)
        if key.state in _GIVEN:
            changes.append(desk.keystore.mark(key, KeyState.ACTIVE))
        if not session.written:
            claim, subject = session.claim, session.subject
            changes.append(Cartridge(subject.volser, session.alias, claim.serial, claim.wwnn, now_us))
    changes.append(audit.key_installed(now_us, session.subject, session.alias))
    if drive is not None:
        changes.append(drive)
        if session.unknown:
            changes.append(audit.drive_enrolled(now_us, session.subject))


def _enter(desk: Desk, session: Session, spki_sha256: bytes) -> Drive | None:
    """Return the drive's entry as it is now, None for one that was removed meanwhile; Fault EE25."""
    claim = session.claim
    drive = desk.registry.check_claim(claim.serial, claim.wwnn, claim.product, Accept.TRUE)
    if drive is None:
        if not session.unknown:
            return None
        try:
            return desk.registry.enrol(claim, spki_sha256)
        except DriveExists as error:
            raise Fault(Code.EE25, error.message) from None
    # An entry that appeared meanwhile is this drive's only if another session of it made it.
    if drive.spki_sha256 != spki_sha256 and (session.unknown or drive.spki_sha256):
        raise Fault(Code.EE25, "the drive's entry appeared or changed meanwhile")
    session.unknown = False
    return desk.registry.see(drive, claim, spki_sha256)


def _record_failure(desk: Desk, session: Session, sense: bytes, now_us: int, changes: Changes) -> None:
    """Record a key that the drive did not install: it may have, so nobody else gets it."""
    message = f"the drive reports sense key {sense_key_of(sense):X}"
    code = sense[12:14].hex().upper()
    changes.append(audit.key_not_installed(now_us, session.subject, session.alias, code, message))
    suspect(desk, session, now_us, message, changes)
    _touch(desk, session, changes)


def _touch(desk: Desk, session: Session, changes: Changes) -> None:
    drive = desk.registry.find(session.claim.serial)
    if drive is not None:
        changes.append(desk.registry.touch(drive))
