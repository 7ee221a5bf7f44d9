"""What one property is: a row of the table (qekm/properties/table.py)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Origin = Literal["original", "ours", "kept"]
"""original: of the product family, with its meaning. kept: of the family, accepted, and without one here."""


@dataclass(frozen=True, slots=True)
class Property:
    """One property: how its text is read (ValueError says what is right), and what it is when not set."""

    name: str
    read: Callable[[str], Any]
    default: str
    origin: Origin
    help: str
    unit: str = ""
    dynamic: bool = False  # in force as soon as it is changed, not after a restart
    local: bool = False  # changed on the service's own machine only: it names a file, a program, a safeguard
    also: tuple[str, ...] = ()  # other names of the same property
