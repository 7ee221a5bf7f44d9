"""Say which bytes signatures and confirmations cover, and split what holds them (docs/protocol.md, 7)."""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable
from enum import IntEnum

from qekm.dkp.codes import Code, Fault
from qekm.dkp.fields import Tag
from qekm.dkp.frame import Frame, build, serialize

CLIENT = b"QEKM MSG 1C"
SERVER = b"QEKM MSG 1S"
CONFIRMATION_LENGTH = 32
_DSK = b"QEKM DSK 1"
_CONFIRM = b"QEKM CONFIRM 1C"
_DSK_HEAD = struct.Struct(">BIH")
_PAIR = struct.Struct(">HH")


class SignatureType(IntEnum):
    """Signature types that verifiers accept; 0001h is reserved for ever."""

    RSA_PSS_SHA256 = 2
    ECDSA_P384 = 3
    ECDSA_P256 = 4


def join_signature(sig_type: int, signature: bytes) -> bytes:
    """Return the value of TLV 0190."""
    return _PAIR.pack(sig_type, len(signature)) + signature


def split_signature(value: bytes) -> tuple[int, bytes]:
    """Return signature type and bytes of a TLV 0190; Fault EE23."""
    if len(value) < 4 or int.from_bytes(value[2:4]) != len(value) - 4:
        raise Fault(Code.EE23, "TLV 0190 is malformed", (Tag.SIGNATURE, 0))
    return int.from_bytes(value[:2]), value[4:]


def signature_of(frame: Frame) -> tuple[int, bytes]:
    """Return signature type and bytes of a frame; Fault EE23 if it is not signed."""
    if not frame.tlvs or frame.tlvs[-1][0] != Tag.SIGNATURE:
        raise Fault(Code.EE23, "TLV 0190 is missing", (Tag.SIGNATURE, 0))
    return split_signature(frame.tlvs[-1][1])


def signed_bytes(prefix: bytes, earlier: bytes, frame: Frame) -> bytes:
    """Return what the 0190 of this frame covers.

    prefix is CLIENT or SERVER; earlier is every complete earlier frame of the session, in order; of the
    frame's own signature only the length matters here. Fault EE23 if the frame is not signed.
    """
    _, signature = signature_of(frame)
    raw = serialize(frame)
    return b"".join((prefix, earlier, raw[: len(raw) - len(signature)]))


def sign_frame(
    prefix: bytes, earlier: bytes, frame: Frame, sig_type: int, length: int, sign: Callable[[bytes], bytes]
) -> Frame:
    """Return the frame with its 0190 added: sign gets the covered bytes and returns `length` bytes."""
    unsigned = build(
        frame.type,
        frame.session_id,
        frame.sequence,
        (*frame.tlvs, (Tag.SIGNATURE, join_signature(sig_type, bytes(length)))),
    )
    signature = sign(signed_bytes(prefix, earlier, unsigned))
    tlvs = (*unsigned.tlvs[:-1], (int(Tag.SIGNATURE), join_signature(sig_type, signature)))
    return Frame(unsigned.type, unsigned.flags, unsigned.session_id, unsigned.sequence, tlvs)


def confirmation_bytes(earlier: bytes, frame: Frame) -> bytes:
    """Return T, what the 0191 of this frame covers: the earlier frames and this one up to its TLV 0191.

    The frame ends in 0191 and 0190; their values do not matter, their lengths do. Fault EE23 otherwise.
    """
    if len(frame.tlvs) < 2 or frame.tlvs[-2][0] != Tag.KEY_CONFIRMATION:
        raise Fault(Code.EE23, "TLV 0191 is missing", (Tag.KEY_CONFIRMATION, 0))
    raw = serialize(frame)
    tail = 8 + len(frame.tlvs[-2][1]) + len(frame.tlvs[-1][1])
    return earlier + raw[: len(raw) - tail]


def confirmation(data_key: bytes, session_id: int, covered: bytes) -> bytes:
    """Return the 32 bytes of TLV 0191: HMAC-SHA-256 under HKDF-SHA-256 (RFC 5869) of the data key."""
    return hmac.digest(confirmation_key(data_key, session_id), covered, "sha256")


def confirmation_key(data_key: bytes, session_id: int) -> bytes:
    """Return K, 32 bytes: what a server keeps of a data key until the drive has confirmed it."""
    extracted = hmac.digest(session_id.to_bytes(8), data_key, "sha256")
    return hmac.digest(extracted, _CONFIRM + b"\x01", "sha256")


def dsk_signed_bytes(drive_serial: bytes, dsk_serial: int, page: bytes) -> bytes:
    """Return what the signature inside a DSK list covers."""
    return b"".join((_DSK, bytes((len(drive_serial),)), drive_serial, dsk_serial.to_bytes(4), page))


def join_dsk_list(dsk_serial: int, page: bytes, sig_type: int, signature: bytes) -> bytes:
    """Return the value of TLV 0122 with its one drive session key."""
    return b"".join((_DSK_HEAD.pack(1, dsk_serial, len(page)), page, join_signature(sig_type, signature)))


def split_dsk_list(value: bytes) -> tuple[int, bytes, int, bytes]:
    """Return DSK serial, page 0031h, signature type and signature of a TLV 0122; Fault EE2C."""
    place = (int(Tag.DSK_LIST), 0)
    if len(value) < _DSK_HEAD.size or value[0] != 1:
        raise Fault(Code.EE2C, "a DSK list holds exactly one key", place)
    _, dsk_serial, page_length = _DSK_HEAD.unpack_from(value)
    end = _DSK_HEAD.size + page_length
    if len(value) < end + 4:
        raise Fault(Code.EE2C, "the DSK list is cut off", place)
    sig_type, sig_length = _PAIR.unpack_from(value, end)
    if len(value) != end + 4 + sig_length:
        raise Fault(Code.EE2C, "the DSK list is cut off or has an extra payload", place)
    return dsk_serial, value[_DSK_HEAD.size : end], sig_type, value[end + 4 :]
