"""Key lists of LTFS's flat file key manager (mount option kmi_dk_list). Sans-I/O.

THE KEYS ARE IN CLEAR. Whoever can read such a file can read the tapes.

Two lines per key, the key first (LinearTapeFileSystem/ltfs, src/kmi/flatfile.c and key_format_ltfs.c):

    DK=   44 characters of base64: the 32 bytes
    DKi=  21 characters: 3 printable ASCII characters and 18 hex digits, 12 bytes

LTFS takes no comments, spaces or carriage returns, and no other order; lines that are wholly empty may be
anywhere. No more is read here, and a DKi twice is refused, of which LTFS takes the first.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

from qekm.dkp.codes import Fault
from qekm.dkp.names import DKI_LENGTH, dki_to_alias
from qekm.errors import BadArgument, BadFile
from qekm.secret import Secret

MAX_FILE = 8 * 2**20  # bytes: 100,000 keys have 7.4 million
_KEY_LENGTH = 32
_DK = re.compile(rb"DK=([A-Za-z0-9+/]{43}=)")
_DKI = re.compile(rb"DKi=([\x20-\x7e]{3})([0-9A-Fa-f]{18})")
_PREFIX = re.compile(rb"[\x20-\x7e]{3}")


@dataclass(frozen=True, slots=True)
class TapeKey:
    """A key and the 12 bytes that name it on tape."""

    dki: bytes
    material: Secret  # 32 bytes

    @property
    def alias(self) -> str:
        """Return the alias of the DKi; the DKi itself, as LTFS writes it, if it is no alias's."""
        try:
            return dki_to_alias(self.dki)
        except Fault:
            return _text(self.dki).decode()


def serialize(keys: Iterable[TapeKey]) -> bytes:
    """Return the list of these keys, in clear; BadArgument for a DKi or a key that LTFS cannot take."""
    lines = []
    for key in keys:
        material = key.material.reveal()
        if len(material) != _KEY_LENGTH or len(key.dki) != DKI_LENGTH or not _PREFIX.match(key.dki):
            raise BadArgument("LTFS takes no key of this length or DKi", field="keys")
        lines.append(b"DK=" + binascii.b2a_base64(material))
        lines.append(b"DKi=" + _text(key.dki) + b"\n")
    return b"".join(lines)


def parse(data: bytes) -> tuple[TapeKey, ...]:
    """Return the keys of a list; BadFile names the first line that LTFS would not take, or a DKi twice."""
    if len(data) > MAX_FILE:
        raise BadFile(f"the key list has {len(data)} bytes; the most is {MAX_FILE}")
    lines = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line]
    if len(lines) % 2:
        raise BadFile(f"line {lines[-1][0]} of the key list has no other line that belongs to it")
    keys = {}
    for (number, first), (_, second) in zip(lines[::2], lines[1::2], strict=True):
        key = _parse_key(first, second, number)
        if key.dki in keys:
            raise BadFile(f"line {number} of the key list: its DKi was there before")
        keys[key.dki] = key
    return tuple(keys.values())


def _text(dki: bytes) -> bytes:
    return dki[:3] + binascii.hexlify(dki[3:]).upper()


def _parse_key(first: bytes, second: bytes, number: int) -> TapeKey:
    dk, dki = _DK.fullmatch(first), _DKI.fullmatch(second)
    if not dk or not dki:
        raise BadFile(f"line {number} of the key list and the next are not DK= and DKi= as LTFS writes them")
    material = bytearray(binascii.a2b_base64(dk[1]))
    if binascii.b2a_base64(material, newline=False) != dk[1]:
        raise BadFile(f"line {number} of the key list: the key has bits beyond its 256")
    return TapeKey(dki[1] + binascii.unhexlify(dki[2]), Secret(material))
