"""Put lengths and order of fuzz input right, so that it reaches more than the rules of the header."""

from __future__ import annotations

import struct

_TLV = struct.Struct(">HH")
_LAST = {0x0191: 0x10000, 0x0190: 0x10001}
AS_IS, HEADER, TLVS, PAGES = 0, 1, 2, 3  # how much is put right: the low bits of the input's first byte


def mend(data: bytes) -> bytes:
    """Turn fuzz input into what the codec is given."""
    how, data = (data[0] & 3 if data else AS_IS), data[1:]
    if how == AS_IS or len(data) < 24:
        return data
    body = data[24:]
    if how != HEADER:
        tlvs = _split(body)
        if how == PAGES:
            tlvs = sorted(((tag, _mend_value(tag, value)) for tag, value in tlvs), key=_order)
        body = b"".join(_TLV.pack(tag, len(value)) + value for tag, value in tlvs)
    return (
        b"QEKM\x01" + data[5:6] + b"\0" + bytes((data[7] & 15,)) + data[8:20] + len(body).to_bytes(4) + body
    )


def _order(tlv: tuple[int, bytes]) -> int:
    return _LAST.get(tlv[0], tlv[0])


def _split(body: bytes) -> list[tuple[int, bytes]]:
    tlvs = []
    at = 0
    while len(body) - at >= 4:
        tag, length = _TLV.unpack_from(body, at)
        tlvs.append((tag, body[at + 4 : at + 4 + length]))
        at += 4 + length
    return tlvs


def _mend_value(tag: int, value: bytes) -> bytes:
    if tag == 0x0190 and len(value) >= 4:
        return value[:2] + (len(value) - 4).to_bytes(2) + value[4:]
    if tag == 0x2021:
        value = value[:16] + _clamp(value[16:])
    if tag == 0x2010 and len(value) >= 36:
        value = value[:18] + (len(value) - 36).to_bytes(2) + value[20:-16] + b"\1\0\0\x0c" + value[-12:]
    if tag >> 8 == 0x20 and len(value) >= 4:
        return b"\0" + bytes((tag & 0xFF,)) + (len(value) - 4).to_bytes(2) + value[4:]
    return value


def _clamp(data: bytes) -> bytes:
    """Cut the length of the last descriptor to what is there."""
    at = 0
    while len(data) - at >= 4:
        length = int.from_bytes(data[at + 2 : at + 4])
        if at + 4 + length > len(data):
            return data[: at + 2] + (len(data) - at - 4).to_bytes(2) + data[at + 4 :]
        at += 4 + length
    return data[:at]
