"""Turn key aliases into the DKi that drives put on tape (docs/protocol.md, section 9)."""

from __future__ import annotations

import re

from qekm.dkp.codes import Code, Fault

_LONG = re.compile(r"[\x20-\x7e]{3}00[0-9A-Fa-f]{16}")
_SHORT = re.compile(r"[\x21-\x7e]{4,12}")
_LONG_DKI = re.compile(rb"[\x20-\x7e]{3}\x00[\x00-\xff]{8}", re.DOTALL)
_SHORT_DKI = re.compile(rb"([\x21-\x7e]{4,12})\x00*")
DKI_LENGTH = 12
MAX_COUNTER = 0xFFFFFF


def is_alias(alias: str) -> bool:
    """Tell whether this is a key's name: 3 characters and 18 hex digits from 00 on, or 4 to 12 characters."""
    return bool(_LONG.fullmatch(alias) or _SHORT.fullmatch(alias))


def fold(alias: str) -> str:
    """Return the form in which aliases are compared: two keys may not fold to the same."""
    return alias.lower()


def alias_to_dki(alias: str) -> bytes:
    """Return the 12 bytes that name a key on tape; Fault EE31 for what is no alias."""
    if _LONG.fullmatch(alias):
        return alias[:3].encode() + bytes.fromhex(alias[3:])
    if _SHORT.fullmatch(alias):
        return alias.encode().ljust(DKI_LENGTH, b"\0")
    raise Fault(Code.EE31, "this is not a key alias")


def dki_to_alias(dki: bytes) -> str:
    """Return the alias, in its one spelling, that 12 bytes on a tape stand for; Fault EE31 for no DKi."""
    if _LONG_DKI.fullmatch(dki):
        return dki[:3].decode() + dki[3:].hex().upper()
    short = _SHORT_DKI.fullmatch(dki)
    if short is None or len(dki) != DKI_LENGTH:
        raise Fault(Code.EE31, "no key alias gives this DKi")
    return short[1].decode()


def generated_alias(tag: str, counter: int) -> str:
    """Return the alias of a key that we make: QKM00, 10 hex digits of server and epoch, 6 of a counter."""
    alias = f"QKM00{tag.upper()}{counter:06X}"
    if len(tag) != 10 or not 0 <= counter <= MAX_COUNTER or not _LONG.fullmatch(alias):
        raise Fault(Code.EE0F, "an alias has 10 hex digits of server and epoch and a counter below 2^24")
    return alias
