"""The way back from a DKi to its alias, and an alias's one spelling (docs/protocol.md, section 9)."""

from __future__ import annotations

import re

from qekm.dkp.codes import Code, Fault
from qekm.dkp.names import DKI_LENGTH, is_alias

_SHORT_DKI = re.compile(rb"([\x21-\x7e]{4,12})\x00*")
_PREFIX = re.compile(rb"[\x20-\x7e]{3}\x00")


def dki_to_alias(dki: bytes) -> str:
    """Return the alias, hex digits in upper case, that a DKi stands for; Fault EE31 if no alias gives it."""
    if len(dki) == DKI_LENGTH:
        if _PREFIX.match(dki):
            return dki[:3].decode() + dki[3:].hex().upper()
        short = _SHORT_DKI.fullmatch(dki)
        if short:
            return short[1].decode()
    raise Fault(Code.EE31, "no key alias gives this DKi")


def spell(alias: str) -> str:
    """Return the spelling in which an alias is stored and sent: hex digits in upper case; Fault EE31."""
    if not is_alias(alias):
        raise Fault(Code.EE31, "this is not a key alias")
    return alias[:3] + alias[3:].upper() if len(alias) == 21 else alias
