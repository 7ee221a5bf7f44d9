"""Carry frames of the drive key protocol in messages of the Serving stream, and back.

Every TLV that is signed has a field of its own, so the service rebuilds the very bytes that a client signed.
Laws: `frame_of_step(to_step(f, …)) == f` for every frame that passed parse, check_missing and check_flags,
and `frame_of_reply(to_reply(f, …)) == f` for every frame of the server. One loop over a table per message:
this is the hot path.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from qekm.dkp.codes import Code, Fault
from qekm.dkp.frame import Frame, check, derive_flags, error_frame
from qekm.dkp.signed import join_dsk_list, join_signature, split_dsk_list
from qekm.v1.serving_pb2 import Error, Reply, Step

Tlv = tuple[int, bytes]
Message = Any  # a generated message, whose fields are reached by name


class Field(NamedTuple):
    """Where a TLV is kept in a message: its type, the field, and how it is put there and taken out."""

    tag: int
    name: str
    fill: Callable[[Message, str, bytes], None]
    emit: Callable[[list[Tlv], int, Message, str], None]


class Layout(NamedTuple):
    """A message of the stream for a message type of the protocol; fields by TLV type, in wire order."""

    kind: int
    name: str
    fields: Mapping[int, Field]


def to_step(frame: Frame, step_id: int, source: str) -> Step:
    """Return a client's checked frame as a step; Fault EE2C for a DSK list that cannot be split."""
    step = Step(step_id=step_id, source=source, session_id=frame.session_id, sequence=frame.sequence)
    layout = _STEPS[frame.type]
    _fill(getattr(step, layout.name), layout.fields, frame.tlvs)
    return step


def frame_of_step(step: Step) -> Frame:
    """Return the frame that a client sent, flags derived; Fault EE23 for a step that no frame makes.

    A gateway is not trusted: what it sends passes the checks that `parse` makes. Whether the message is
    complete and free of contradictions is checked where the session is, in the protocol's order.
    """
    layout = _STEPS_BY_NAME.get(step.WhichOneof("frame") or "")
    if layout is None:
        raise Fault(Code.EE23, "a step without a frame")
    try:
        frame = _frame(layout, step.session_id, step.sequence, getattr(step, layout.name))
    except struct.error:  # a type or length that no TLV has
        raise Fault(Code.EE23, "a step that no frame makes") from None
    check(frame)
    return frame


def to_reply(answer: Frame | Fault, step_id: int, session_id: int, sequence: int) -> Reply:
    """Return the service's answer to a step; for a fault the gateway makes the ERROR frame."""
    reply = Reply(step_id=step_id, session_id=session_id, sequence=sequence)
    if isinstance(answer, Fault):
        tag, offset = answer.offending or (0, 0)
        error = Error(code=answer.code, text=answer.text, offending_type=tag, offending_offset=offset)
        reply.error.CopyFrom(error)
        return reply
    layout = _REPLIES[answer.type]
    message = getattr(reply, layout.name)
    message.SetInParent()  # a message without fields would not be seen
    _fill(message, layout.fields, answer.tlvs)
    return reply


def frame_of_reply(reply: Reply) -> Frame:
    """Return the frame for the client; Fault EE0F for a reply without one."""
    name = reply.WhichOneof("frame") or ""
    if name == "error":
        return error_frame(fault_of_error(reply.error), reply.session_id, reply.sequence)
    layout = _REPLIES_BY_NAME.get(name)
    if layout is None:
        raise Fault(Code.EE0F)
    return _frame(layout, reply.session_id, reply.sequence, getattr(reply, name))


def fault_of_error(error: Error) -> Fault:
    """Return the fault that the service answered with; a code that is none of ours counts as EE0F."""
    code = _CODES.get(error.code)
    if code is None:
        return Fault(Code.EE0F)
    offending = (error.offending_type, error.offending_offset) if error.offending_type else None
    return Fault(code, error.text, offending)


def _fill(message: Message, fields: Mapping[int, Field], tlvs: Iterable[Tlv]) -> None:
    for tag, value in tlvs:
        field = fields.get(tag)
        if field is None:
            message.extensions.add(type=tag, value=value)
        else:
            field.fill(message, field.name, value)


def _frame(layout: Layout, session_id: int, sequence: int, message: Message) -> Frame:
    tlvs: list[Tlv] = []
    for tag, name, _, emit in layout.fields.values():
        emit(tlvs, tag, message, name)
    ordered = tuple(tlvs)
    return Frame(layout.kind, derive_flags(ordered), session_id, sequence, ordered)


def _emit_bytes(tlvs: list[Tlv], tag: int, message: Message, name: str) -> None:
    if value := getattr(message, name):
        tlvs.append((tag, value))


def _fill_text(message: Message, name: str, value: bytes) -> None:
    setattr(message, name, value.decode())


def _emit_text(tlvs: list[Tlv], tag: int, message: Message, name: str) -> None:
    if value := getattr(message, name):
        tlvs.append((tag, value.encode()))


def _fill_certificate(message: Message, _name: str, value: bytes) -> None:
    message.certificates.append(value)


def _emit_certificates(tlvs: list[Tlv], tag: int, message: Message, _name: str) -> None:
    tlvs += [(tag, value) for value in message.certificates]


def _emit_extensions(tlvs: list[Tlv], _tag: int, message: Message, _name: str) -> None:
    tlvs += [(extension.type, extension.value) for extension in message.extensions]


def _fill_signature(message: Message, _name: str, value: bytes) -> None:
    signature = message.signature
    signature.type = int.from_bytes(value[:2])
    signature.value = value[4:]


def _emit_signature(tlvs: list[Tlv], tag: int, message: Message, _name: str) -> None:
    if message.HasField("signature"):
        signature = message.signature
        tlvs.append((tag, join_signature(signature.type, signature.value)))


def _fill_dsk_list(message: Message, _name: str, value: bytes) -> None:
    dsk_list = message.dsk_list
    dsk_list.dsk_serial, dsk_list.page, kind, signature = split_dsk_list(value)
    dsk_list.signature.type = kind
    dsk_list.signature.value = signature


def _emit_dsk_list(tlvs: list[Tlv], tag: int, message: Message, _name: str) -> None:
    if message.HasField("dsk_list"):
        dsk_list = message.dsk_list
        signature = dsk_list.signature
        value = join_dsk_list(dsk_list.dsk_serial, dsk_list.page, signature.type, signature.value)
        tlvs.append((tag, value))


_BYTES, _TEXT = (setattr, _emit_bytes), (_fill_text, _emit_text)
_SHAPES = {
    "certificates": (_fill_certificate, _emit_certificates),
    "dsk_list": (_fill_dsk_list, _emit_dsk_list),
    "signature": (_fill_signature, _emit_signature),
    "extensions": (setattr, _emit_extensions),  # never filled by name
} | dict.fromkeys(
    ("drive_serial", "vendor", "product", "firmware", "volser", "library_serial", "key_alias"), _TEXT
)
_EXTENSIONS = -1  # stands where types 8000h to FFFFh go


def _layouts(*messages: tuple[int, str, dict[int, str]]) -> dict[int, Layout]:
    return {
        kind: Layout(
            kind,
            name,
            {tag: Field(tag, field, *_SHAPES.get(field, _BYTES)) for tag, field in fields.items()},
        )
        for kind, name, fields in messages
    }


_STEPS = _layouts(
    (
        0x01,
        "driver_error_notify",
        {
            0x0101: "drive_serial",
            0x0102: "drive_wwnn",
            0x0103: "vendor",
            0x0104: "product",
            0x0105: "firmware",
            0x0106: "volser",
            0x0107: "library_serial",
            0x010A: "mount_id",
            0x0130: "dki",
            0x0170: "sense",
            0x2021: "next_block_encryption_status",
            _EXTENSIONS: "extensions",
        },
    ),
    (
        0x02,
        "query_dsk_reply",
        {
            0x0121: "certificates",
            0x0122: "dsk_list",
            0x2030: "random_number",
            _EXTENSIONS: "extensions",
            0x0190: "signature",
        },
    ),
    (0x03, "query_dki_reply", {0x0130: "dki", _EXTENSIONS: "extensions", 0x0190: "signature"}),
    (
        0x04,
        "key_status",
        {0x0170: "sense", _EXTENSIONS: "extensions", 0x0191: "key_confirmation", 0x0190: "signature"},
    ),
)
_REPLIES = _layouts(
    (0x82, "query_dsk", {0x0120: "challenge", 0x0121: "certificates"}),
    (0x83, "query_dki", {}),
    (0x84, "set_key", {0x0109: "key_alias", 0x2010: "set_data_encryption", 0x0190: "signature"}),
    (0x85, "no_key", {0x0190: "signature"}),
    (0x86, "complete", {0x0190: "signature"}),
)
_STEPS_BY_NAME = {layout.name: layout for layout in _STEPS.values()}
_REPLIES_BY_NAME = {layout.name: layout for layout in _REPLIES.values()}
_CODES = {int(code): code for code in Code}
