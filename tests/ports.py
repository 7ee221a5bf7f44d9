"""Ports for servers that are told where to listen, of which no other program is given one by chance."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator

# Below what Linux gives out by itself (32768 on): no bind(0) or connect() of another test comes by them.
_FIRST, _COUNT = 20_000, 12_000


def _numbers() -> Iterator[int]:
    """Yield all of them again and again, from a place that is each process's own."""
    start = secrets.randbelow(_COUNT)
    while True:
        yield from (_FIRST + (start + number) % _COUNT for number in range(_COUNT))


_left = _numbers()


def free_port() -> int:
    """Return a port that nobody has at any address, another one each time."""
    return next(port for port in _left if _is_free(port))


def _is_free(port: int) -> bool:
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            try:
                probe.bind(("", port))
            except OSError:
                return False
    return True
