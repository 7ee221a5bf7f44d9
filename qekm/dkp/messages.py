"""Say which TLVs each message carries and which flags follow from them (docs/protocol.md, section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from qekm.dkp.codes import Ask, Code, Fault, ask_of
from qekm.dkp.fields import RULES, MessageType, Rule, Tag
from qekm.dkp.pages import NOT_ENCRYPTED, akad_of, encryption_status

if TYPE_CHECKING:
    from qekm.dkp.frame import Frame

FLAG_EK, FLAG_EEDK, FLAG_DKI, FLAG_SIGNED = 0x0001, 0x0002, 0x0004, 0x0008
KNOWN_FLAGS = 0x000F


class Message(NamedTuple):
    """One message: which side sends it, what it must carry and what it may carry besides."""

    from_client: bool
    required: tuple[Tag, ...]
    optional: tuple[Tag, ...] = ()


MESSAGES: dict[int, Message] = {
    MessageType.DRIVER_ERROR_NOTIFY: Message(
        True,
        (Tag.DRIVE_SERIAL, Tag.DRIVE_WWNN, Tag.VENDOR, Tag.PRODUCT, Tag.SENSE),
        (
            Tag.FIRMWARE,
            Tag.VOLSER,
            Tag.LIBRARY_SERIAL,
            Tag.KEK_LABEL,
            Tag.MOUNT_ID,
            Tag.EEDK,
            Tag.DKI,
            Tag.NEXT_BLOCK_ENCRYPTION_STATUS,
        ),
    ),
    MessageType.QUERY_DSK: Message(False, (Tag.CHALLENGE, Tag.CERTIFICATE)),
    MessageType.QUERY_DSK_REPLY: Message(
        True, (Tag.CERTIFICATE, Tag.DSK_LIST, Tag.RANDOM_NUMBER, Tag.SIGNATURE)
    ),
    MessageType.QUERY_DKI: Message(False, ()),
    # One of 0130 and 0110 is required: see check_missing.
    MessageType.QUERY_DKI_REPLY: Message(True, (Tag.SIGNATURE,), (Tag.DKI, Tag.EEDK)),
    MessageType.SET_KEY: Message(False, (Tag.KEY_ALIAS, Tag.SET_DATA_ENCRYPTION, Tag.SIGNATURE), (Tag.EEDK,)),
    MessageType.NO_KEY: Message(False, (Tag.SIGNATURE,)),
    MessageType.KEY_STATUS: Message(True, (Tag.SENSE, Tag.SIGNATURE), (Tag.KEY_CONFIRMATION,)),
    # Signed but after a no operation, which only the receiver knows.
    MessageType.COMPLETE: Message(False, (), (Tag.SIGNATURE,)),
    MessageType.PING: Message(True, ()),
    MessageType.PONG: Message(False, ()),
    MessageType.ERROR: Message(False, (Tag.SENSE, Tag.SENSE_T10), (Tag.ERROR_TEXT, Tag.OFFENDING)),
}
LISTED: dict[int, dict[int, Rule]] = {
    kind: {int(tag): RULES[tag] for tag in message.required + message.optional}
    for kind, message in MESSAGES.items()
}
_REQUIRED = {kind: frozenset(map(int, message.required)) for kind, message in MESSAGES.items()}


def derive_flags(tlvs: Iterable[tuple[int, bytes]]) -> int:
    """Return the flags that these TLVs call for."""
    flags = 0
    for tag, value in tlvs:
        if tag == 0x0190:
            flags |= FLAG_SIGNED
        elif tag == 0x0130:
            flags |= FLAG_DKI
        elif tag == 0x2010:
            flags |= FLAG_EK | FLAG_DKI  # a page without an A-KAD does not parse
        elif tag == 0x0110:
            flags |= FLAG_EEDK
        elif tag == 0x2021 and akad_of(value) is not None:
            flags |= FLAG_DKI
    return flags


def check_missing(frame: Frame) -> None:
    """Raise Fault EE23 when a TLV that the message requires is not there."""
    present = {tag for tag, _ in frame.tlvs}
    required = _REQUIRED.get(frame.type, frozenset())
    if not present >= required:
        for tag in sorted(required - present):
            raise Fault(Code.EE23, f"TLV {tag:04X} is missing", (tag, 0))
    if frame.type == MessageType.QUERY_DKI_REPLY and not present & {0x0130, 0x0110}:
        raise Fault(Code.EE23, "TLV 0130 is missing", (Tag.DKI, 0))


def check_flags(frame: Frame) -> None:
    """Raise Fault EEE1 when flags and TLVs, or two TLVs, contradict each other, or an EEDK is named."""
    flags = derive_flags(frame.tlvs)
    if flags != frame.flags:
        raise Fault(Code.EEE1, f"flags {frame.flags:04X} where the TLVs call for {flags:04X}")
    if flags & FLAG_EEDK or (frame.type == MessageType.DRIVER_ERROR_NOTIFY and frame.get(Tag.KEK_LABEL)):
        raise Fault(Code.EEE1, "EEDKs are not supported")
    page = frame.get(Tag.NEXT_BLOCK_ENCRYPTION_STATUS)
    if page is None:
        return
    dki, akad = frame.get(Tag.DKI), akad_of(page)
    if dki is not None and akad is not None and dki != akad:
        raise Fault(Code.EEE1, "TLV 0130 and the A-KAD of TLV 2021 differ", (Tag.DKI, 0))
    if encryption_status(page) == NOT_ENCRYPTED and ask_of(frame.get(Tag.SENSE) or b"") is Ask.TRANSLATE:
        raise Fault(
            Code.EEE1,
            "a key is asked for a block that is not encrypted",
            (Tag.NEXT_BLOCK_ENCRYPTION_STATUS, 0),
        )


def named_dki(frame: Frame) -> bytes | None:
    """Return the DKi that a drive's frame names, in TLV 0130 or as A-KAD of TLV 2021, else None."""
    dki = frame.get(Tag.DKI)
    if dki is not None:
        return dki
    page = frame.get(Tag.NEXT_BLOCK_ENCRYPTION_STATUS)
    return None if page is None else akad_of(page)
