"""Frames as sections 3 to 5 of docs/protocol.md have them: laid out, and taken apart with every check."""

from __future__ import annotations

import socket
import struct
import time
from typing import NamedTuple

ANSWER = 2  # seconds for a complete answer (section 6)
# Section 5: what each message of the server must have, and what it may have besides.
QUERY_DSK, QUERY_DKI, SET_KEY, COMPLETE, ERROR = 0x82, 0x83, 0x84, 0x86, 0xFF
MUST: dict[int, set[int]] = {QUERY_DSK: {0x0120, 0x0121}, QUERY_DKI: set(), SET_KEY: {0x0109, 0x2010, 0x0190}}
MUST |= {COMPLETE: {0x0190}, ERROR: {0x0170, 0x0171}}
MAY = {ERROR: {0x0180, 0x0181}}
LENGTHS = {0x0109: (1, 64), 0x0120: (32, 32), 0x0170: (18, 252), 0x0171: (18, 252), 0x0190: (4, 516)}
LAST = {0x0191: 0x10000, 0x0190: 0x10001}  # TLVs ascend but for these (section 3)
Tlv = tuple[int, bytes]


class UnbelievedError(Exception):
    """What came fails a check of section 11, or is an ERROR that is final at every server."""


def believe(condition: bool, otherwise: str) -> None:
    if not condition:
        raise UnbelievedError(otherwise)


def flags_of(tlvs: list[Tlv]) -> int:
    tags = {tag for tag, _ in tlvs}  # our 2021 always has an A-KAD
    return (0x2010 in tags) | 4 * bool(tags & {0x0130, 0x2010, 0x2021}) | 8 * (0x0190 in tags)


def build(kind: int, session: int, sequence: int, tlvs: list[Tlv]) -> bytes:
    ordered = sorted(tlvs, key=lambda tlv: LAST.get(tlv[0], tlv[0]))
    body = b"".join(struct.pack(">HH", tag, len(value)) + value for tag, value in ordered)
    return b"QEKM" + struct.pack(">BBHQII", 1, kind, flags_of(tlvs), session, sequence, len(body)) + body


class Received(NamedTuple):
    """A well-formed frame of the server's."""

    raw: bytes
    kind: int
    session: int
    sequence: int
    tlvs: list[Tlv]

    def get(self, tag: int) -> bytes:
        return next((value for kind, value in self.tlvs if kind == tag), b"")


def parse(raw: bytes) -> Received:
    """Take a frame of the server's apart, if it is as sections 3 to 5 say."""
    kind, flags, session, sequence = struct.unpack(">BHQI", raw[5:20])
    believe(kind in MUST, f"message {kind:02X}")
    must, may = MUST[kind], MAY.get(kind, set())
    tlvs: list[Tlv] = []
    at = 24
    while at < len(raw):
        believe(len(raw) - at >= 4, "a TLV is cut off")
        tag, length = struct.unpack_from(">HH", raw, at)
        low, high = LENGTHS.get(tag, (0, 16384))
        believe(at + 4 + length <= len(raw) and low <= length <= high, f"TLV {tag:04X} has {length} bytes")
        believe(tag in must | may or tag >= 0x8000, f"TLV {tag:04X} in message {kind:02X}")
        tlvs.append((tag, raw[at + 4 : at + 4 + length]))
        at += 4 + length
    tags = [tag for tag, _ in tlvs]
    places = [LAST.get(tag, tag) for tag in tags]
    believe(places == sorted(places) and len(places) <= 64, "TLVs out of order")
    repeated = [tag for tag in tags if tags.count(tag) > (4 if tag == 0x0121 else 1)]
    believe(must <= set(tags) and not repeated, "a TLV is missing or repeated")
    believe(flags == flags_of(tlvs), "flags and TLVs disagree")
    return Received(raw, kind, session, sequence, tlvs)


def receive(link: socket.socket) -> bytes:
    """Return one complete frame; OSError if there is none in time."""
    raw, wanted, deadline = b"", 24, time.monotonic() + ANSWER
    while len(raw) < wanted:
        link.settimeout(max(deadline - time.monotonic(), 0.001))
        part = link.recv(wanted - len(raw))
        if not part:
            raise ConnectionError("the server closed the connection")
        raw += part
        if len(raw) == 24:
            wanted += int.from_bytes(raw[20:], "big")
            believe(raw[:5] == b"QEKM\x01" and wanted <= 16408, "a bad header")
    return raw
