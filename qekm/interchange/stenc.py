"""Key files of the program stenc, with which a host sets a drive's key itself. Sans-I/O.

THE KEY IS IN CLEAR. Whoever can read such a file can read the tapes.

Line 1 is the key in hex; line 2 its description (stenc(1), KEY INPUT SYNTAX). The drive puts the description
on the tape as U-KAD, in clear, so it names the key and says nothing about it: its alias does.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

from qekm.errors import BadArgument, BadFile
from qekm.secret import Secret

MAX_FILE = 4_096  # bytes
MAX_DESCRIPTION = 32  # bytes: the longest U-KAD of an LTO drive; stenc 1.0.7 does not check what a file says
_KEY_LENGTH = 32
_KEY = re.compile(rb"[0-9A-Fa-f]{64}")


@dataclass(frozen=True, slots=True)
class DescribedKey:
    """A key and the text that a drive writes on the tape beside it."""

    description: str
    material: Secret  # 32 bytes


def serialize(key: DescribedKey) -> bytes:
    """Return the file of a key, in clear; BadArgument for what a drive or stenc cannot take.

    There is always a description: for a key without one stenc 1.0.7 logs a sum over its bytes instead.
    """
    material = key.material.reveal()
    if len(material) != _KEY_LENGTH:
        raise BadArgument(f"a key for a drive has {_KEY_LENGTH} bytes", field="material")
    if not key.description or not _is_description(key.description):
        raise BadArgument(
            f"a key's description has 1 to {MAX_DESCRIPTION} bytes of printable text", field="description"
        )
    return binascii.hexlify(material) + b"\n" + key.description.encode() + b"\n"


def parse(data: bytes) -> DescribedKey:
    """Return the key of a file and its description, which may be empty; BadFile for anything else."""
    if len(data) > MAX_FILE:
        raise BadFile(f"the key file has {len(data)} bytes; the most is {MAX_FILE}")
    first, _, rest = data.partition(b"\n")
    if not _KEY.fullmatch(first):
        raise BadFile("the first line of the key file is not a key of 64 hex digits")
    second, _, rest = rest.partition(b"\n")
    try:
        description = second.decode()
    except UnicodeDecodeError:
        raise BadFile("the second line of the key file is no text") from None
    if rest or not _is_description(description):
        raise BadFile(f"after its key, the file holds more than a description of {MAX_DESCRIPTION} bytes")
    return DescribedKey(description, Secret(bytearray(binascii.unhexlify(first))))


def _is_description(text: str) -> bool:
    return text.isprintable() and len(text.encode()) <= MAX_DESCRIPTION
