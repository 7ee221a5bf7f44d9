"""Message 02: a drive proves who it is and brings the key under which data keys shall be wrapped."""

from __future__ import annotations

from qekm.claim import Accept
from qekm.dcert import DriveIdentity
from qekm.dkp.codes import Code, Fault
from qekm.dkp.fields import Tag
from qekm.dkp.frame import Frame, serialize
from qekm.dkp.pages import parse_random_number_page
from qekm.dkp.signed import CLIENT, dsk_signed_bytes, signature_of, split_dsk_list
from qekm.serving.desk import Changes, Desk
from qekm.serving.sessions import Session
from qekm.signing import Verifier
from qekm.wrapping import SessionKey

_CERTIFICATE, _DSK_LIST, _RANDOM = int(Tag.CERTIFICATE), int(Tag.DSK_LIST), int(Tag.RANDOM_NUMBER)
_SIGNATURE = (int(Tag.SIGNATURE), 0)


def authenticate(desk: Desk, session: Session, frame: Frame, now_us: int, changes: Changes) -> None:
    """Check message 02 and let the session know what it proved.

    Fault EE2C, EE2B for the certificate, EE2E, EE2B for the session key's signature, EE29, in this order;
    then EF01 and EE25, for what the registry says now. An unknown drive that is to wait is entered as pending
    only here: the list must not belong to whoever reaches the port.
    """
    dsk_list = frame.get(_DSK_LIST) or b""
    dsk_serial, page, dsk_type, dsk_signature = split_dsk_list(dsk_list)
    signer, session_key = desk.proved.get((session.serial, dsk_list)) or (b"", SessionKey(page))
    identity = _identify(desk, session, frame.all(_CERTIFICATE), now_us)
    verifier = identity.verifier
    for sig_type in (signature_of(frame)[0], dsk_type):
        _check_type(verifier, sig_type)
    if signer != identity.spki_sha256:
        covered = dsk_signed_bytes(session.serial.encode(), dsk_serial, page)
        if not verifier.verify(dsk_type, dsk_signature, covered):
            raise Fault(Code.EE2B, "the signature in the DSK list is wrong", (_DSK_LIST, 0))
    take_signed(session, frame, verifier)
    if signer != identity.spki_sha256:  # not before the sender is known: strangers take no memory
        desk.remember(session.serial, dsk_list, identity.spki_sha256, session_key)
    session.identity, session.session_key = identity, session_key
    session.nonce = parse_random_number_page(frame.get(_RANDOM) or b"")
    try:
        check_standing(desk, session)
    except Fault as fault:
        if fault.code is Code.EF01 and desk.policy.accept is Accept.PENDING:
            changes += desk.registry.wait(session.claim)
        raise


def check_standing(desk: Desk, session: Session) -> None:
    """Hold a drive that proved itself against what administrators say now; Fault EE2B, EF01, EE25.

    Also before message 03 is answered: an entry or a key may have been taken away since message 02.
    """
    identity, claim = session.identity, session.claim
    if identity is None or session.diagnosis:
        return
    _check_blocked(desk, identity)
    drive = desk.registry.check_claim(claim.serial, claim.wwnn, claim.product, desk.policy.accept)
    if drive is not None and drive.spki_sha256 not in (b"", identity.spki_sha256):
        raise Fault(Code.EE25, "the drive's key is not the one that its entry has")
    session.unknown = drive is None


def take_signed(session: Session, frame: Frame, verifier: Verifier) -> bytes:
    """Verify a client's frame, add it to the transcript and return its bytes; Fault EE2E, EE29."""
    raw = serialize(frame)
    sig_type, signature = signature_of(frame)
    _check_type(verifier, sig_type)
    covered = b"".join((CLIENT, session.transcript, raw[: len(raw) - len(signature)]))
    if not verifier.verify(sig_type, signature, covered):
        raise Fault(Code.EE29, "the message's signature is wrong", _SIGNATURE)
    session.transcript += raw
    return raw


def _check_type(verifier: Verifier, sig_type: int) -> None:
    if sig_type not in verifier.types:
        text = f"signature type {sig_type:04X} does not fit the drive's certificate"
        raise Fault(Code.EE2E, text, _SIGNATURE)


def _identify(desk: Desk, session: Session, chain: tuple[bytes, ...], now_us: int) -> DriveIdentity:
    if session.diagnosis:
        assert desk.diagnosis is not None
        return desk.diagnosis.trust.check(chain, session.serial, now_us)
    identity = desk.registry.trust.check(chain, session.serial, now_us)
    _check_blocked(desk, identity)
    return identity


def _check_blocked(desk: Desk, identity: DriveIdentity) -> None:
    # EE2B and not EE25: it is the certificate that is not accepted, whatever serial it came with.
    if desk.registry.is_blocked(identity.spki_sha256):
        raise Fault(Code.EE2B, "drive certificate: its key was blocked")
