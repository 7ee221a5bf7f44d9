"""Build the server's frames: in order, signed where they are, and part of the transcript from then on."""

from __future__ import annotations

from qekm.dkp.fields import MessageType, Tag
from qekm.dkp.frame import Frame, serialize
from qekm.dkp.messages import FLAG_DKI, FLAG_EK, FLAG_SIGNED
from qekm.dkp.signed import SERVER, join_signature
from qekm.serving.desk import Desk
from qekm.serving.sessions import Session

NO_OPERATION = Frame(MessageType.COMPLETE, 0, 0, 2, ())
_CHALLENGE, _CERTIFICATE = int(Tag.CHALLENGE), int(Tag.CERTIFICATE)
_ALIAS, _PAGE, _SIGNATURE = int(Tag.KEY_ALIAS), int(Tag.SET_DATA_ENCRYPTION), int(Tag.SIGNATURE)


def query_dsk(desk: Desk, session: Session) -> Frame:
    """Build message 82: a challenge and the certificates of our key."""
    tlvs = ((_CHALLENGE, session.challenge), *((_CERTIFICATE, der) for der in desk.chain))
    return _sent(session, Frame(MessageType.QUERY_DSK, 0, session.id, session.sequence + 2, tlvs))


def query_dki(session: Session) -> Frame:
    """Build message 83: which key is wanted."""
    return _sent(session, Frame(MessageType.QUERY_DKI, 0, session.id, session.sequence + 2, ()))


def set_key(desk: Desk, session: Session, alias: str, page: bytes) -> Frame:
    """Build message 84: the wrapped key in page 0010h, and its alias."""
    tlvs = ((_ALIAS, alias.encode()), (_PAGE, page))
    return _signed(desk, session, MessageType.SET_KEY, FLAG_EK | FLAG_DKI | FLAG_SIGNED, tlvs)


def no_key(desk: Desk, session: Session) -> Frame:
    """Build message 85: write in clear, by policy."""
    return _signed(desk, session, MessageType.NO_KEY, FLAG_SIGNED, ())


def complete(desk: Desk, session: Session) -> Frame:
    """Build message 86: the status was recorded."""
    return _signed(desk, session, MessageType.COMPLETE, FLAG_SIGNED, ())


def _sent(session: Session, frame: Frame) -> Frame:
    session.transcript += serialize(frame)
    session.sequence = frame.sequence
    return frame


def _signed(
    desk: Desk, session: Session, kind: int, flags: int, tlvs: tuple[tuple[int, bytes], ...]
) -> Frame:
    """Build a signed frame: one serialization serves the signature and the transcript."""
    signer = desk.signer
    sequence = session.sequence + 2
    blank = (_SIGNATURE, join_signature(signer.type, bytes(signer.length)))
    raw = serialize(Frame(kind, flags, session.id, sequence, (*tlvs, blank)))
    covered = raw[: -signer.length]
    sig_type, signature = signer.sign(b"".join((SERVER, session.transcript, covered)))
    session.transcript = b"".join((session.transcript, covered, signature))
    session.sequence = sequence
    return Frame(
        kind, flags, session.id, sequence, (*tlvs, (_SIGNATURE, join_signature(sig_type, signature)))
    )
