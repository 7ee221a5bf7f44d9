"""Take the sessions of sessions.json apart."""

from __future__ import annotations

from typing import Any

from qekm.dkp.fields import Tag
from qekm.dkp.frame import Frame, parse

Session = dict[str, Any]


def raws(session: Session) -> list[bytes]:
    """Return a session's frames as bytes."""
    return [bytes.fromhex(frame["hex"]) for frame in session["frames"]]


def frame_of(session: Session, kind: int) -> Frame | None:
    """Return the frame of this type."""
    return next((frame for frame in map(parse, raws(session)) if frame.type == kind), None)


def value_of(session: Session, kind: int, tag: int) -> bytes:
    """Return a TLV that is there."""
    frame = frame_of(session, kind)
    value = frame.get(tag) if frame else None
    assert value is not None
    return value


def leaf_of(session: Session, kind: int) -> bytes:
    """Return the certificate of the drive (02) or the server (82)."""
    return value_of(session, kind, Tag.CERTIFICATE)


def last_tlv(raw: bytes) -> int:
    """Return the offset of a frame's last TLV."""
    at = following = 24
    while following < len(raw):
        at, following = following, following + 4 + int.from_bytes(raw[following + 2 : following + 4])
    return at


def signatures(session: Session) -> list[tuple[bytes, int, bytes, bytes]]:
    """Return of every signature the signer's certificate, type, bytes and what it covers, by slicing."""
    found = []
    earlier = b""
    for raw in raws(session):
        server = raw[5] & 0x80
        if raw[7] & 8:
            at = last_tlv(raw)
            assert raw[at : at + 2] == b"\x01\x90"
            length = int.from_bytes(raw[at + 6 : at + 8])
            assert at + 8 + length == len(raw)
            prefix = b"QEKM MSG 1S" if server else b"QEKM MSG 1C"
            leaf = leaf_of(session, 0x82 if server else 0x02)
            kind = int.from_bytes(raw[at + 4 : at + 6])
            found.append((leaf, kind, raw[-length:], prefix + earlier + raw[:-length]))
        earlier += raw
    dsk = value_of(session, 0x02, Tag.DSK_LIST)
    page_end = 7 + int.from_bytes(dsk[5:7])
    serial = value_of(session, 0x01, Tag.DRIVE_SERIAL)
    covered = b"QEKM DSK 1" + bytes((len(serial),)) + serial + dsk[1:5] + dsk[7:page_end]
    kind = int.from_bytes(dsk[page_end : page_end + 2])
    found.append((leaf_of(session, 0x02), kind, dsk[page_end + 4 :], covered))
    return found
