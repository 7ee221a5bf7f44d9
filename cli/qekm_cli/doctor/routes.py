"""Where the service is that a home belongs to, and as whom it is called; never an error: that is a step's."""

from __future__ import annotations

import os
from dataclasses import dataclass

from qekm.client import IDENTITY, PORT, address_of, identity_of
from qekm.configuration.settings import Settings
from qekm.doctor.place import survey
from qekm.doctor.steps import Kind
from qekm.errors import QekmError
from qekm.home import Home
from qekm.properties.listeners import GATEWAY_SERVICES
from qekm.properties.readers import LOCAL


@dataclass(frozen=True, slots=True)
class Route:
    """target: host:port. named: whether it is another's than the service of this home."""

    target: str
    identity: str
    named: bool


def route(home: Home, target: str | None, identity: str | None) -> Route:
    """Return the way that the options name, else the home's."""
    try:
        if survey(home).kind is Kind.GATEWAY:
            found = target or _of_gateway(home)
            return Route(found, identity or os.environ.get("QEKM_IDENTITY") or "gateway", True)
        named = target is not None or home.is_client
        return Route(address_of(home, target), identity_of(home, identity), named)
    except (QekmError, OSError):
        return Route(target or f"localhost:{PORT}", identity or IDENTITY, target is not None)


def _of_gateway(home: Home) -> str:
    """Return the first service of a gateway that stands alone; QekmError."""
    services = Settings.load(home.config)[GATEWAY_SERVICES]
    return str(next((each for each in services if each != LOCAL), f"localhost:{PORT}"))
