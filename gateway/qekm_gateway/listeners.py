"""Open the sockets on which drives are awaited."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from qekm.errors import BadConfiguration, PortInUse

# The kernel cuts it to net.core.somaxconn: after a power cut a thousand drives come at once.
BACKLOG = 4_096
# Of one connection in the kernel; twice the largest frame and more than any answer.
_BUFFER = 65_536
_FREE_PORT_ATTEMPTS = 16
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def open_listeners(hosts: Sequence[str], port: int) -> list[socket.socket]:
    """Bind every address to the same port (0: any that is free on all) and return the sockets.

    `::` takes IPv4 as well, unless an IPv4 address is named beside it; without IPv6 on this machine it is
    0.0.0.0. PortInUse; BadConfiguration for an address that is not ours.
    """
    for _ in range(_FREE_PORT_ATTEMPTS):
        try:
            return _bind_all(_addresses(hosts, port), port)
        except PortInUse:
            if port:
                raise
    raise PortInUse("no port is free on all addresses")


def _addresses(hosts: Sequence[str], port: int) -> list[tuple[int, str]]:
    found = []
    for host in hosts:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise _bad(host, str(error.strerror)) from None
        found += [(int(family), str(address[0])) for family, _, _, _, address in answers]
    return list(dict.fromkeys(found))


def _bind_all(addresses: Sequence[tuple[int, str]], port: int) -> list[socket.socket]:
    only_ipv6 = any(family == socket.AF_INET for family, _ in addresses)
    sockets: list[socket.socket] = []
    try:
        for family, host in addresses:
            sockets.append(_bind(family, host, port, only_ipv6))
            port = port or sockets[0].getsockname()[1]
    except BaseException:
        for opened in sockets:
            opened.close()
        raise
    return sockets


def _bind(family: int, host: str, port: int, only_ipv6: bool) -> socket.socket:
    try:
        return _listen(family, host, port, only_ipv6)
    except OSError as error:
        if error.errno in _NO_IPV6 and host == "::":
            return _bind(socket.AF_INET, "0.0.0.0", port, only_ipv6)  # noqa: S104  every address is the default
        if error.errno != errno.EADDRINUSE:
            raise _bad(host, str(error.strerror)) from None
        hint = "another gateway may be running (qekm server status), or choose TransportListener.tcp.port"
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


def _bad(host: str, why: str) -> BadConfiguration:
    name = "TransportListener.tcp.host"
    return BadConfiguration(f"cannot listen at {host}: {why}", hint=f"see {name} and its port", property=name)
