"""Name every message type and TLV and say what each TLV's value may be (docs/protocol.md, section 4)."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from qekm.dkp.codes import UNFIT, Fault
from qekm.dkp.pages import akad_of, parse_random_number_page, parse_set_data_encryption, split_wrapped_key

FIRST_EXTENSION = 0x8000  # types from here on are ignored but signed
MAX_SIGNATURE = 512  # RSA-4096


class MessageType(IntEnum):
    """Message types; 80h and above come from the server."""

    DRIVER_ERROR_NOTIFY = 0x01
    QUERY_DSK_REPLY = 0x02
    QUERY_DKI_REPLY = 0x03
    KEY_STATUS = 0x04
    PING = 0x07
    QUERY_DSK = 0x82
    QUERY_DKI = 0x83
    SET_KEY = 0x84
    NO_KEY = 0x85
    COMPLETE = 0x86
    PONG = 0x87
    ERROR = 0xFF


class Tag(IntEnum):
    """TLV types."""

    DRIVE_SERIAL = 0x0101
    DRIVE_WWNN = 0x0102
    VENDOR = 0x0103
    PRODUCT = 0x0104
    FIRMWARE = 0x0105
    VOLSER = 0x0106
    LIBRARY_SERIAL = 0x0107
    KEK_LABEL = 0x0108
    KEY_ALIAS = 0x0109
    MOUNT_ID = 0x010A
    EEDK = 0x0110
    CHALLENGE = 0x0120
    CERTIFICATE = 0x0121
    DSK_LIST = 0x0122
    DKI = 0x0130
    SENSE = 0x0170
    SENSE_T10 = 0x0171
    ERROR_TEXT = 0x0180
    OFFENDING = 0x0181
    SIGNATURE = 0x0190
    KEY_CONFIRMATION = 0x0191
    SET_DATA_ENCRYPTION = 0x2010
    NEXT_BLOCK_ENCRYPTION_STATUS = 0x2021
    RANDOM_NUMBER = 0x2030


class Rule(NamedTuple):
    """What one TLV type may be: place in the order, how often, size in bytes, and a test of the value."""

    order: int
    most: int
    low: int
    high: int
    fits: Callable[[bytes], bool] | None


def order_of(tag: int) -> int:
    """Return a number that sorts TLV types as frames do: ascending, then 0191, then 0190."""
    if tag == Tag.SIGNATURE:
        return 0x10001
    return 0x10000 if tag == Tag.KEY_CONFIRMATION else tag


def _is_ascii(value: bytes) -> bool:
    return value.isascii() and value.decode().isprintable()


def _is_text(value: bytes) -> bool:
    try:
        return not UNFIT.search(value.decode())
    except UnicodeDecodeError:
        return False


def _is_sense(value: bytes) -> bool:
    return value[0] & 0x7F in (0x70, 0x71)  # bit 7 is VALID, which drives set


def _is_signature(value: bytes) -> bool:
    return int.from_bytes(value[2:4]) == len(value) - 4


def _is_eedk(value: bytes) -> bool:
    kind, length = value[:1], value[1]
    label = value[2 : 2 + length]
    if len(value) <= 2 + length:
        return False
    return length == 32 if kind == b"H" else kind == b"L" and 1 <= length <= 64 and _is_text(label)


def _is_page(parse: Callable[[bytes], object]) -> Callable[[bytes], bool]:
    def fits(value: bytes) -> bool:
        try:
            parse(value)
        except Fault:
            return False
        return True

    return fits


def _parse_wrapped_page(value: bytes) -> None:
    split_wrapped_key(parse_set_data_encryption(value).key)


_ANY = 0xFFFF
_SHAPES: dict[Tag, tuple[int, int, int, Callable[[bytes], bool] | None]] = {
    Tag.DRIVE_SERIAL: (1, 1, 16, _is_ascii),
    Tag.DRIVE_WWNN: (1, 8, 8, None),
    Tag.VENDOR: (1, 8, 8, _is_ascii),
    Tag.PRODUCT: (1, 16, 16, _is_ascii),
    Tag.FIRMWARE: (1, 4, 4, _is_ascii),
    Tag.VOLSER: (1, 1, 32, _is_ascii),
    Tag.LIBRARY_SERIAL: (1, 1, 32, _is_ascii),
    Tag.KEK_LABEL: (2, 1, 64, _is_text),
    Tag.KEY_ALIAS: (1, 1, 64, _is_text),
    Tag.MOUNT_ID: (1, 16, 16, None),
    Tag.EEDK: (2, 4, 2 + 64 + 512, _is_eedk),
    Tag.CHALLENGE: (1, 32, 32, None),
    Tag.CERTIFICATE: (4, 1, _ANY, None),  # more than 4,096 bytes are EE2B, not EE23
    Tag.DSK_LIST: (1, 0, _ANY, None),  # whatever is wrong in it is EE2C
    Tag.DKI: (1, 12, 12, None),
    Tag.SENSE: (1, 18, 252, _is_sense),
    Tag.SENSE_T10: (1, 18, 252, _is_sense),
    Tag.ERROR_TEXT: (1, 1, 200, _is_text),
    Tag.OFFENDING: (1, 6, 6, None),
    Tag.SIGNATURE: (1, 4, 4 + MAX_SIGNATURE, _is_signature),
    Tag.KEY_CONFIRMATION: (1, 32, 32, None),
    Tag.SET_DATA_ENCRYPTION: (1, 20, _ANY, _is_page(_parse_wrapped_page)),
    Tag.NEXT_BLOCK_ENCRYPTION_STATUS: (1, 16, _ANY, _is_page(akad_of)),
    Tag.RANDOM_NUMBER: (1, 36, 36, _is_page(parse_random_number_page)),
}
RULES: dict[int, Rule] = {int(tag): Rule(order_of(tag), *shape) for tag, shape in _SHAPES.items()}


def extension_rule(tag: int) -> Rule:
    """Return the rule of a TLV type from 8000h on: once, in order, any value."""
    return Rule(tag, 1, 0, _ANY, None)
