"""What one property is: a row of the tables in the files beside this one (table.py puts them together)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from qekm.properties.readers import any_text

Origin = Literal["original", "ours", "kept"]
"""original: of the product family, with its meaning. kept: of the family, accepted, and without one here."""

NOT_SHOWN = "(not shown)"
_PASSWORDS = (".password", ".password.obfuscated")


@dataclass(frozen=True, slots=True)
class Property:
    """One property: how its text is read (ValueError says what is right), and what it is when not set."""

    name: str
    read: Callable[[str], Any]
    default: str
    origin: Origin
    help: str  # of one that is kept: why it means nothing here
    unit: str = ""
    dynamic: bool = False  # in force as soon as it is changed, not after a restart
    local: bool = False  # changed on the service's own machine only: it names a file, a program, a safeguard
    shared: bool = False  # all servers of an estate have it in common: it says who is served and how
    also: tuple[str, ...] = ()  # other names of the same property


def kept(name: str, default: str, why: str, unit: str = "") -> Property:
    """Return a property of the family that is accepted and means nothing here, whatever its text says."""
    return Property(name, any_text, default, "kept", why, unit)


def is_password(name: str) -> bool:
    """Tell whether a property, known or not, holds a password: its text is never shown nor logged."""
    return name.endswith(_PASSWORDS)


def shown(name: str, text: str) -> str:
    """Return the text of a property as people and programs may see it."""
    return NOT_SHOWN if text and is_password(name) else text
