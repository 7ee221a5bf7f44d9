"""The services that a gateway is told of, in order of preference, and which of them is tried next."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from grpc import aio

from qekm.configuration.settings import Settings
from qekm.errors import ServiceAway
from qekm.home import Home
from qekm.properties.listeners import GATEWAY_SERVICES, GRPC_PORT
from qekm.properties.readers import LOCAL
from qekm.rpc.channel import open_async_channel
from qekm.rpc.tls import Files, client_credentials
from qekm_gateway.simulator.link import Server

FIRST_WAIT, LONGEST_WAIT = 0.1, 5.0  # seconds between attempts


@dataclass(frozen=True, slots=True)
class Service:
    """One service: what the configuration calls it, and what opens a channel to it (ServiceAway)."""

    name: str
    dial: Callable[[], aio.Channel]

    @property
    def own(self) -> bool:
        """Whether it is that of this gateway's own home, and so says what the gateway's properties are."""
        return self.name == LOCAL


def services_of(home: Home, settings: Settings, files: Files) -> tuple[Service, ...]:
    """Return the services that the settings name; certificates and the own port are as at each dialling."""

    def dial_local() -> aio.Channel:
        host = settings["grpc.host"]
        if host in ("::", "0.0.0.0"):  # noqa: S104  compared, not bound
            host = "localhost"
        running = home.running("server")
        port = running.ports["grpc"] if running is not None else settings[GRPC_PORT]
        if not port:
            raise ServiceAway("the service is not running")
        return open_async_channel(str(Server(host, port)), client_credentials(files))

    def service(name: str) -> Service:
        if name == LOCAL:
            return Service(name, dial_local)
        return Service(name, lambda: open_async_channel(name, client_credentials(files)))

    return tuple(map(service, settings[GATEWAY_SERVICES]))


class Turn:
    """Goes round among the first `count` services; `place` is the one whose turn it is.

    After one that failed the next is tried at once; a pause is made only when each has had its turn.
    """

    def __init__(self, count: int, jitter: Callable[[], float] = random.random) -> None:
        self.count = count
        self.place = 0
        self._jitter = jitter
        self._failed, self._wait = 0, FIRST_WAIT

    def lasted(self) -> None:
        """Take it that the present one served."""
        self._failed, self._wait = 0, FIRST_WAIT

    def pass_on(self) -> float:
        """Go on to the next and return how many seconds to wait before."""
        self.place = (self.place + 1) % self.count
        self._failed += 1
        if self._failed % self.count:
            return 0.0
        wait, self._wait = self._wait, min(self._wait * 2, LONGEST_WAIT)
        return wait * (0.5 + self._jitter() / 2)
