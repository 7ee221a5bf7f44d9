"""Number what can go wrong and what a drive can ask, as SCSI sense data (docs/protocol.md, 5 and 10)."""

from __future__ import annotations

import re
from enum import Enum, IntEnum

MAX_TEXT = 200  # bytes of UTF-8 in TLV 0180
UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters and what UTF-8 cannot say


class Code(IntEnum):
    """A refusal's number: ASC << 8 | ASCQ, as the audit log prints it in hex."""

    EE02 = 0xEE02
    EE0E = 0xEE0E  # a session that timed out: audited, never sent
    EE0F = 0xEE0F
    EE23 = 0xEE23
    EE25 = 0xEE25
    EE29 = 0xEE29
    EE2B = 0xEE2B
    EE2C = 0xEE2C
    EE2D = 0xEE2D
    EE2E = 0xEE2E
    EE31 = 0xEE31
    EE34 = 0xEE34
    EEE1 = 0xEEE1
    EF01 = 0xEF01

    @property
    def sense_key(self) -> int:
        """Return the sense key that goes with the code."""
        return _SENSE_KEY.get(self, 5)

    @property
    def twin(self) -> int:
        """Return the T10 code (ASC << 8 | ASCQ, sense key 7) that comes nearest; failover goes by it."""
        return _TWIN[self]


_SENSE_KEY = {Code.EE0E: 4, Code.EE0F: 4, Code.EEE1: 3}
_TWIN = {
    Code.EE02: 0x746F,
    Code.EE0E: 0x746E,
    Code.EE0F: 0x7462,
    Code.EE23: 0x746F,
    Code.EE25: 0x7464,
    Code.EE29: 0x7464,
    Code.EE2B: 0x7464,
    Code.EE2C: 0x746F,
    Code.EE2D: 0x746F,
    Code.EE2E: 0x7464,
    Code.EE31: 0x7463,
    Code.EE34: 0x7463,
    Code.EEE1: 0x746F,
    Code.EF01: 0x7464,
}


class Fault(Exception):
    """A refusal: code, text for people (cut to 200 bytes), TLV at fault as (type, offset in frame)."""

    def __init__(self, code: Code, text: str = "", offending: tuple[int, int] | None = None) -> None:
        super().__init__(code, text, offending)
        self.code = code
        clean = UNFIT.sub("?", text)
        self.text = clean if len(clean) * 4 <= MAX_TEXT else clean.encode()[:MAX_TEXT].decode(errors="ignore")
        self.offending = offending

    def __str__(self) -> str:
        return f"{self.code.name}: {self.text}"


class Ask(Enum):
    """What a drive's sense data asks of a key manager."""

    CREATE = "create"
    TRANSLATE = "translate"
    ACQUIRE = "acquire"
    OPTIONAL = "optional"
    NO_OPERATION = "no operation"


_ASKS = {
    b"\xef\x11": Ask.CREATE,
    b"\xee\x11": Ask.CREATE,
    b"\xef\x13": Ask.TRANSLATE,
    b"\xee\x13": Ask.TRANSLATE,
    b"\xef\x10": Ask.ACQUIRE,
    b"\xee\x10": Ask.ACQUIRE,
    b"\xef\x1a": Ask.OPTIONAL,
    b"\xef\xc0": Ask.NO_OPERATION,
}


def ask_of(sense: bytes) -> Ask | None:
    """Return what fixed-format sense data asks for; None when its ASC and ASCQ are no request."""
    return _ASKS.get(sense[12:14])


def sense_key_of(sense: bytes) -> int:
    """Return the sense key of fixed-format sense data; 0 is success."""
    return sense[2] & 0x0F if len(sense) > 2 else 0x0F


def sense(sense_key: int, asc_ascq: int) -> bytes:
    """Build 18 bytes of fixed-format sense data (SPC-4, 4.5.3), response code 70h."""
    return b"\x70\x00%c\x00\x00\x00\x00\x0a\x00\x00\x00\x00%b\x00\x00\x00\x00" % (
        sense_key,
        asc_ascq.to_bytes(2),
    )


def sense_data(code: Code) -> bytes:
    """Return the code as sense data, 18 bytes: TLV 0170 of an ERROR."""
    return sense(code.sense_key, code)


def sense_t10(code: Code) -> bytes:
    """Return the code's T10 twin as sense data, 18 bytes: TLV 0171 of an ERROR."""
    return sense(7, code.twin)


def good_sense() -> bytes:
    """Return sense data of a key that was installed, 18 bytes: TLV 0170 of a KEY_STATUS."""
    return sense(0, 0)
