"""Message 01: a drive says who it is and what it wants; nothing of it is proved yet."""

from __future__ import annotations

from qekm.audit import Subject
from qekm.claim import DIAGNOSIS_SERIAL, Accept, Claim, normalise_serial
from qekm.dkp.codes import Ask, Code, Fault, ask_of
from qekm.dkp.fields import Tag
from qekm.dkp.frame import Frame, serialize
from qekm.dkp.messages import named_dki
from qekm.serving.desk import Desk
from qekm.serving.sessions import Session

_SENSE, _SERIAL, _WWNN = int(Tag.SENSE), int(Tag.DRIVE_SERIAL), int(Tag.DRIVE_WWNN)
_VENDOR, _PRODUCT, _FIRMWARE = int(Tag.VENDOR), int(Tag.PRODUCT), int(Tag.FIRMWARE)
_VOLSER, _LIBRARY, _MOUNT = int(Tag.VOLSER), int(Tag.LIBRARY_SERIAL), int(Tag.MOUNT_ID)


def open_session(desk: Desk, frame: Frame, gateway: str, host: str) -> Session | None:
    """Return the session that message 01 begins, None for a no operation; Fault EE02, EF01, EE25."""
    fields = dict(frame.tlvs)
    ask = ask_of(fields[_SENSE])
    if ask is None:
        raise Fault(Code.EE02, "the sense data asks for nothing that a key manager does", (_SENSE, 0))
    serial = fields[_SERIAL].decode()
    claim = Claim(
        normalise_serial(serial),
        fields[_WWNN],
        _text(fields.get(_VENDOR)),
        _text(fields.get(_PRODUCT)),
        _text(fields.get(_FIRMWARE)),
        _text(fields.get(_LIBRARY)),
    )
    diagnosis = serial == DIAGNOSIS_SERIAL
    if not diagnosis:
        # Where unknown drives wait, they are told so when they have proved who they are.
        accept = Accept.FALSE if desk.policy.accept is Accept.FALSE else Accept.TRUE
        desk.registry.check_claim(claim.serial, claim.wwnn, claim.product, accept)
    elif desk.diagnosis is None:
        raise Fault(Code.EF01, "there is no diagnosis here")
    if ask is Ask.NO_OPERATION:
        return None
    drawn = desk.random_bytes(40)
    return Session(
        int.from_bytes(drawn[:8]),
        gateway,
        host,
        desk.elapsed_us() + desk.policy.session_us,
        ask,
        serial,
        claim,
        Subject(claim.serial, claim.wwnn, _text(fields.get(_VOLSER))),
        fields.get(_MOUNT, b""),
        named_dki(frame),
        diagnosis,
        drawn[8:],
        serialize(frame),
    )


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode().rstrip()
