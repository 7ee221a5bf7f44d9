"""The sockets on which drives are taken: at the present addresses, and at those before while they drain.

A library that is told of the new port a little later loses nothing: its drives are answered on the old one
until then.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping, Sequence

from qekm.properties.listeners import TCP_HOST
from qekm.rpc.addresses import addresses_of
from qekm_gateway.connection import Connection
from qekm_gateway.gateway import Gateway
from qekm_gateway.listeners import BACKLOG, Place, open_listeners
from qekm_gateway.simulator.link import Server

_log = logging.getLogger(__name__)


class Ports:
    """Listens from `start` to `close`, and elsewhere after each `move`."""

    def __init__(self, gateway: Gateway, opened: Mapping[Place, socket.socket]) -> None:
        """Take the sockets to begin with (`open_listeners`)."""
        self._gateway = gateway
        self._sockets = dict(opened)
        self._present = tuple(opened)
        self._servers: dict[Place, asyncio.Server] = {}
        self._leaving: dict[Place, asyncio.TimerHandle] = {}

    @property
    def port(self) -> int:
        """Return the port on which drives are to be sent here."""
        return self._present[0].port

    @property
    def addresses(self) -> list[str]:
        """Return all addresses on which drives are taken, host:port, the present ones first."""
        names = [self._sockets[place].getsockname() for place in (*self._present, *self._leaving)]
        return [str(Server(host, port)) for host, port, *_ in names]

    def reachable(self, tls: bool) -> list[Server]:
        """Return where the present listeners are reached from this machine."""
        return [Server(_reachable(self._sockets[place]), place.port, tls) for place in self._present]

    async def start(self) -> None:
        """Take drives."""
        for place in self._present:
            self._servers[place] = await self._serve(place)

    async def move(self, hosts: Sequence[str], port: int, drain: float) -> None:
        """Take drives at these addresses, and for so many seconds at those before as well.

        PortInUse, BadConfiguration: nothing has changed.
        """
        found = [address for host in hosts for address in await addresses_of(host, TCP_HOST)]
        wanted = open_listeners(found, port, self._sockets)
        new = wanted.keys() - self._servers.keys()
        self._sockets |= wanted
        try:
            for place in new:
                self._servers[place] = await self._serve(place)
        except BaseException:
            for place in new:
                self._close(place)
            raise
        before, self._present = self._present, tuple(wanted)
        for place in wanted.keys() & self._leaving.keys():
            self._leaving.pop(place).cancel()
        for place in before:
            if place not in wanted:
                self._drain(place, drain)

    def close(self) -> None:
        """Take no further drive; connections go on."""
        for timer in self._leaving.values():
            timer.cancel()
        for place in tuple(self._sockets):
            self._close(place)

    async def _serve(self, place: Place) -> asyncio.Server:
        opened = self._sockets[place]
        return await self._gateway.loop.create_server(
            lambda: Connection(self._gateway, place), sock=opened, backlog=BACKLOG
        )

    def _drain(self, place: Place, seconds: float) -> None:
        if seconds:
            self._leaving[place] = self._gateway.loop.call_later(seconds, self._leave, place)
        else:
            self._leave(place)

    def _leave(self, place: Place) -> None:
        """Close a listener whose time is over; its connections end when their sessions do."""
        self._leaving.pop(place, None)
        _log.info("drives are no longer taken at %s", Server(place.host, place.port))
        self._close(place)
        for guest in self._gateway.admission.guests:
            if guest.door == place:
                guest.retire()

    def _close(self, place: Place) -> None:
        server = self._servers.pop(place, None)
        if server is not None:
            server.close()
        self._sockets.pop(place).close()


def _reachable(opened: socket.socket) -> str:
    host = str(opened.getsockname()[0])
    if host == "::":
        return "::1" if opened.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) else "127.0.0.1"
    return "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104  compared, not bound
