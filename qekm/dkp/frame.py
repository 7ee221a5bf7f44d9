"""Parse and serialize frames, and cut a stream of bytes into them (docs/protocol.md, section 3)."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

from qekm.dkp.codes import Code, Fault, sense_data, sense_t10
from qekm.dkp.fields import FIRST_EXTENSION, RULES, MessageType, Rule, Tag, extension_rule, order_of
from qekm.dkp.messages import KNOWN_FLAGS, LISTED, derive_flags

__all__ = [
    "HEADER_LENGTH",
    "MAX_BODY",
    "MAX_FRAME",
    "MAX_NOTIFY_BODY",
    "MAX_TLVS",
    "Frame",
    "MessageType",
    "Reader",
    "Tag",
    "build",
    "check",
    "derive_flags",
    "error_frame",
    "fault_of",
    "parse",
    "serialize",
]

MAGIC = b"QEKM"
VERSION = 1
HEADER_LENGTH = 24
MAX_BODY = 16_384
MAX_NOTIFY_BODY = 4_096  # before anything is authenticated
MAX_FRAME = HEADER_LENGTH + MAX_BODY
MAX_TLVS = 64
_HEADER = struct.Struct(">4sBBHQII")
_TLV = struct.Struct(">HH")
_unpack_tlv = _TLV.unpack_from
_pack_tlv = _TLV.pack
_CODES = {int(code): code for code in Code}


@dataclass(frozen=True, slots=True, repr=False)
class Frame:
    """One message: type, flags, session id, sequence, and its TLVs as (type, value) in wire order."""

    type: int
    flags: int
    session_id: int
    sequence: int
    tlvs: tuple[tuple[int, bytes], ...]

    def get(self, tag: int) -> bytes | None:
        """Return the value of the first TLV of this type, None if there is none."""
        for kind, value in self.tlvs:
            if kind == tag:
                return value
        return None

    def all(self, tag: int) -> tuple[bytes, ...]:
        """Return the values of all TLVs of this type."""
        return tuple(value for kind, value in self.tlvs if kind == tag)

    def __repr__(self) -> str:  # sizes only: values may hold what must not reach a log
        tlvs = " ".join(f"{tag:04X}[{len(value)}]" for tag, value in self.tlvs)
        return f"Frame({self.type:02X} flags={self.flags:X} sequence={self.sequence} {tlvs})"


def parse(data: bytes) -> Frame:
    """Return the frame that these bytes are; Fault EE23. A message of unknown type may carry any TLV."""
    kind, flags, session_id, sequence = _parse_header(data)
    rules = LISTED.get(kind, RULES)
    size = len(data)
    tlvs: list[tuple[int, bytes]] = []
    offset, last, same = HEADER_LENGTH, 0, 0
    while offset < size:
        if size - offset < 4 or len(tlvs) == MAX_TLVS:
            what = "a TLV is cut off" if size - offset < 4 else f"more than {MAX_TLVS} TLVs"
            raise Fault(Code.EE23, what, (0, offset))
        tag, length = _unpack_tlv(data, offset)
        rule = rules.get(tag)
        if rule is None:
            rule = _unlisted(tag, offset)
        order, most, low, high, fits = rule
        same = same + 1 if order == last else 1
        start = offset + 4
        end = start + length
        value = data[start:end]
        if (
            end > size
            or order < last
            or same > most
            or not low <= length <= high
            or (fits is not None and not fits(value))
        ):
            _refuse(tag, offset, rule, last, same, end > size, length)
        tlvs.append((tag, value))
        offset, last = end, order
    return Frame(kind, flags, session_id, sequence, tuple(tlvs))


def check(frame: Frame) -> None:
    """Raise Fault EE23 for a frame whose bytes `parse` would refuse, without making them."""
    rules = LISTED.get(frame.type, RULES)
    total, last, same = 0, 0, 0
    for tag, value in frame.tlvs:
        rule = rules.get(tag) or _unlisted(tag, HEADER_LENGTH + total)
        order, most, low, high, fits = rule
        length = len(value)
        same = same + 1 if order == last else 1
        if order < last or same > most or not low <= length <= high or (fits is not None and not fits(value)):
            _refuse(tag, HEADER_LENGTH + total, rule, last, same, False, length)
        total += 4 + length
        last = order
    most_bytes = MAX_NOTIFY_BODY if frame.type == MessageType.DRIVER_ERROR_NOTIFY else MAX_BODY
    if total > most_bytes or len(frame.tlvs) > MAX_TLVS:
        raise Fault(Code.EE23, "the frame is longer than this message may be")


def _parse_header(data: bytes) -> tuple[int, int, int, int]:
    total = _frame_length(data)
    if not total:
        raise Fault(Code.EE23, "the frame is shorter than its header")
    if total != len(data):
        raise Fault(Code.EE23, "body length and frame differ")
    _, _, kind, flags, session_id, sequence, _ = _HEADER.unpack_from(data)
    if flags & ~KNOWN_FLAGS:
        raise Fault(Code.EE23, f"reserved flags are set: {flags:04X}")
    return kind, flags, session_id, sequence


def _frame_length(data: bytes | bytearray) -> int:
    """Return the length that the header in front gives its frame, 0 while the header is incomplete."""
    if data[:4] != MAGIC[: len(data)]:
        raise Fault(Code.EE23, "a frame begins with QEKM")
    if len(data) > 4 and data[4] != VERSION:
        raise Fault(Code.EE23, f"version {data[4]} is not supported; the highest is {VERSION}")
    if len(data) < HEADER_LENGTH:
        return 0
    length = int.from_bytes(data[20:24])
    if length > (MAX_NOTIFY_BODY if data[5] == MessageType.DRIVER_ERROR_NOTIFY else MAX_BODY):
        raise Fault(Code.EE23, f"the body has {length} bytes, more than this message may have")
    return HEADER_LENGTH + length


def _unlisted(tag: int, offset: int) -> Rule:
    if FIRST_EXTENSION <= tag <= 0xFFFF:
        return extension_rule(tag)
    what = "is not allowed in this message" if tag in RULES else "is unknown"
    raise Fault(Code.EE23, f"TLV {tag:04X} {what}", (tag, offset))


def _refuse(tag: int, offset: int, rule: Rule, last: int, same: int, overrun: bool, length: int) -> NoReturn:
    if overrun:
        what = "runs past the frame"
    elif rule.order < last:
        what = "is out of order"
    elif same > rule.most:
        what = f"occurs more than {rule.most} times" if rule.most > 1 else "occurs twice"
    elif not rule.low <= length <= rule.high:
        what = f"has {length} bytes"
    else:
        what = "has a value that is not allowed"
    raise Fault(Code.EE23, f"TLV {tag:04X} {what}", (tag, offset))


def serialize(frame: Frame) -> bytes:
    """Return the frame's bytes; Fault EE0F for a frame that no header can describe."""
    parts = [b""]
    try:
        for tag, value in frame.tlvs:
            parts.append(_pack_tlv(tag, len(value)))
            parts.append(value)
        length = sum(map(len, parts))
        parts[0] = _HEADER.pack(
            MAGIC, VERSION, frame.type, frame.flags, frame.session_id, frame.sequence, length
        )
    except struct.error:
        raise Fault(Code.EE0F, "a frame that cannot be sent") from None
    if length > MAX_BODY:
        raise Fault(Code.EE0F, "a frame that is too long to be sent")
    return b"".join(parts)


def build(type: int, session_id: int, sequence: int, tlvs: Iterable[tuple[int, bytes]]) -> Frame:
    """Return a frame with its TLVs put in order and its flags derived from them."""
    ordered = tuple(sorted(tlvs, key=_order))
    return Frame(type, derive_flags(ordered), session_id, sequence, ordered)


def _order(tlv: tuple[int, bytes]) -> int:
    return order_of(tlv[0])


def error_frame(fault: Fault, session_id: int, sequence: int) -> Frame:
    """Return the ERROR frame that tells a client of a fault."""
    tlvs = [(int(Tag.SENSE), sense_data(fault.code)), (int(Tag.SENSE_T10), sense_t10(fault.code))]
    if fault.text:
        tlvs.append((int(Tag.ERROR_TEXT), fault.text.encode()))
    if fault.offending is not None:
        tag, offset = fault.offending
        tlvs.append((int(Tag.OFFENDING), tag.to_bytes(2) + offset.to_bytes(4)))
    return Frame(MessageType.ERROR, 0, session_id, sequence, tuple(tlvs))


def fault_of(frame: Frame) -> Fault:
    """Return the fault that an ERROR frame tells of; a code that is none of ours counts as EE0F."""
    sense = frame.get(Tag.SENSE) or b""
    code = _CODES.get(int.from_bytes(sense[12:14]), Code.EE0F)
    place = frame.get(Tag.OFFENDING)
    offending = None if place is None else (int.from_bytes(place[:2]), int.from_bytes(place[2:]))
    return Fault(code, (frame.get(Tag.ERROR_TEXT) or b"").decode(errors="replace"), offending)


class Reader:
    """Cuts what a connection delivers into raw frames; a bad header is refused before its body is there."""

    __slots__ = ("_buffer", "_fault")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fault: tuple[Code, str] | None = None

    @property
    def pending(self) -> int:
        """Return how many bytes wait for the rest of their frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add bytes as they came; after a fault they are dropped."""
        if self._fault is None:
            self._buffer += data

    def next_frame(self) -> bytes | None:
        """Return one complete raw frame, None until there is one; Fault EE23, for good, on a bad header."""
        if self._fault is not None:
            raise Fault(*self._fault)
        buffer = self._buffer
        try:
            total = _frame_length(buffer)
        except Fault as fault:
            self._fault = (fault.code, fault.text)
            buffer.clear()
            raise
        if not total or len(buffer) < total:
            return None
        frame = bytes(buffer[:total])
        del buffer[:total]
        return frame
