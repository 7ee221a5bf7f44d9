"""What the configuration says about serving drives, read once into plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from qekm.claim import Accept

NAMES = (
    *("drive.acceptUnknownDrives", "drive.optionalEncryption", "drive.creationsPerHour"),
    *("dkp.sessionTimeout", "dkp.connectionsPerAddress"),
)
"""Properties of which a policy is made."""


class Settings(Protocol):
    """Typed values by the name of their property, as qekm.configuration.settings gives them."""

    def __getitem__(self, name: str) -> Any:
        """Return a property's value."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who is served, and how much."""

    accept: Accept = Accept.TRUE
    clear_when_optional: bool = False
    creations_per_hour: int = 120
    session_us: int = 120_000_000
    sessions_per_source: int = 64


def policy_of(settings: Settings) -> Policy:
    """Return the policy of a configuration; times in it are seconds."""
    return Policy(
        Accept(str(settings["drive.acceptUnknownDrives"]).lower()),
        settings["drive.optionalEncryption"] == "clear",
        settings["drive.creationsPerHour"],
        int(settings["dkp.sessionTimeout"] * 1_000_000),
        settings["dkp.connectionsPerAddress"],
    )
