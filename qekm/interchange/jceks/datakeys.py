"""The keys of a keystore that tapes are written with: AES-256, under the names that tapes have for them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from qekm.errors import BadArgument, BadFile, BadPassword
from qekm.interchange.jceks.entries import Entry, Kind, ProtectedKey, SecretKey
from qekm.interchange.jceks.protecting import unprotect
from qekm.interchange.jceks.stretching import unprotect_all
from qekm.secret import Secret

_LONG = re.compile(r"[\x20-\x7e]{3}00[0-9A-Fa-f]{16}")


class Useless(NamedTuple):
    """A secret key that gives none for tapes; BadArgument: it is one of another kind."""

    alias: str
    why: BadPassword | BadFile | BadArgument


def secret_keys(entries: Sequence[Entry]) -> list[ProtectedKey]:
    """Return the secret keys of a keystore, still protected; the others are key pairs and certificates."""
    return [each for each in entries if isinstance(each, ProtectedKey) and each.kind is Kind.SECRET]


def opens_one(entries: Sequence[ProtectedKey], password: Secret) -> bool:
    """Tell whether a password opens the first key that can be tried, before minutes are spent on all."""
    for entry in entries:
        try:
            unprotect(entry, password)
        except BadPassword:
            return False
        except BadFile:
            continue
        break
    return True


def data_keys(
    entries: Sequence[ProtectedKey], password: Secret, tell: Callable[[int], object]
) -> tuple[list[SecretKey], list[Useless]]:
    """Return the data keys among secret keys, and why others are none; errors, tell as unprotect_all."""
    keys: list[SecretKey] = []
    useless: list[Useless] = []
    for entry, key in zip(entries, unprotect_all(entries, password, tell=tell), strict=True):
        if isinstance(key, BadFile | BadPassword):
            useless.append(Useless(entry.alias, key))
        elif isinstance(key, SecretKey) and key.is_data_key:
            keys.append(key)
        else:
            useless.append(Useless(entry.alias, BadArgument("this is no AES-256 key", field="material")))
    return keys, useless


def on_tape(alias: str) -> str:
    """Return the name under which a key of a Java keystore is on its cartridges.

    Java keeps aliases in lower case and finds them in any. The original made its keys by ranges such as
    KEY0-3FF, whose three letters its tools write in upper case, and put the name on tape as the range has it.
    So the letters are restored: what is shown here is then what a library shows of the cartridge, and what an
    LTFS key list made of it needs. Drives are served either way: a cartridge's name is looked up in any case,
    and answered as the cartridge has it. Short names have no such form and stay as they are.
    """
    return alias[:3].upper() + alias[3:].upper() if _LONG.fullmatch(alias) else alias
