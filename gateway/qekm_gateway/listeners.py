"""Open the sockets on which drives are awaited."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from qekm.errors import BadConfiguration, PortInUse
from qekm.properties.listeners import TCP_HOST, TCP_PORT

# The kernel cuts it to net.core.somaxconn: after a power cut a thousand drives come at once.
BACKLOG = 4_096
# Of one connection in the kernel; twice the largest frame and more than any answer.
_BUFFER = 65_536
_FREE_PORT_ATTEMPTS = 16
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


class Place(NamedTuple):
    """Where drives are awaited; `only_ipv6`: an IPv6 address does not take IPv4 as well."""

    family: int
    host: str
    only_ipv6: bool
    port: int


def open_listeners(
    hosts: Sequence[str], port: int, held: Mapping[Place, socket.socket] = MappingProxyType({})
) -> dict[Place, socket.socket]:
    """Bind every address to the same port (0: any that is free on all) and return the sockets.

    What is `held` already is returned as it is. `::` takes IPv4 as well, unless an IPv4 address is named
    beside it; without IPv6 on this machine it is 0.0.0.0. PortInUse; BadConfiguration for an address that is
    not ours, or a port that we may not have.
    """
    for _ in range(_FREE_PORT_ATTEMPTS):
        try:
            return _bind_all(_places(hosts, port), held)
        except PortInUse:
            if any(place.port == port for place in held):
                hint = "choose another port with the other addresses, or restart the gateway"
                what = f"port {port} is taken by the gateway itself, at addresses that overlap with these"
                raise PortInUse(what, hint=hint, port=str(port)) from None
            if port:
                raise
    raise PortInUse("no port is free on all addresses")


def _places(hosts: Sequence[str], port: int) -> list[Place]:
    found = []
    for host in hosts:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise _bad(host, port, str(error.strerror)) from None
        found += [(int(family), str(address[0])) for family, _, _, _, address in answers]
    ipv4 = any(family == socket.AF_INET for family, _ in found)
    return [Place(family, host, ipv4 and host == "::", port) for family, host in dict.fromkeys(found)]


def _bind_all(places: Sequence[Place], held: Mapping[Place, socket.socket]) -> dict[Place, socket.socket]:
    opened: dict[Place, socket.socket] = {}
    port = 0
    try:
        for wanted in places:
            place = wanted._replace(port=wanted.port or port)
            found = held.get(place) or _bind(*place)
            port = found.getsockname()[1]
            opened[place._replace(port=port)] = found
    except BaseException:
        for place, each in opened.items():
            if place not in held:
                each.close()
        raise
    return opened


def _bind(family: int, host: str, only_ipv6: bool, port: int) -> socket.socket:
    try:
        return _listen(family, host, port, only_ipv6)
    except OSError as error:
        if error.errno in _NO_IPV6 and host == "::":
            return _bind(socket.AF_INET, "0.0.0.0", only_ipv6, port)  # noqa: S104  every address is the default
        if error.errno != errno.EADDRINUSE:
            raise _bad(host, port, str(error.strerror)) from None
        hint = f"another gateway may be running (qekm server status), or choose {TCP_PORT}"
        raise PortInUse(
            f"port {port} at {host} is taken by another program", hint=hint, port=str(port)
        ) from None


def _listen(family: int, host: str, port: int, only_ipv6: bool) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # not refused by our own past connections
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            opened.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_ipv6)
        opened.bind((host, port))
        opened.listen(BACKLOG)  # now: until one listens, two may bind the same port
        opened.setblocking(False)
    except BaseException:
        opened.close()
        raise
    return opened


def _bad(host: str, port: int, why: str) -> BadConfiguration:
    hint = f"see {TCP_HOST} and its port"
    return BadConfiguration(f"cannot listen at {host} on port {port}: {why}", hint=hint, property=TCP_HOST)
