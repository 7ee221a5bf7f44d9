"""Ports for servers that are told where to listen, of which no other program is given one by chance."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

# What Linux gives out by itself, to bind(0) and connect(), and how many below that are taken here.
_RANGE, _COUNT = Path("/proc/sys/net/ipv4/ip_local_port_range"), 12_000


def _numbers() -> Iterator[int]:
    """Yield again and again those that are this process's own among those that test beside each other."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    place = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    end = max(2_048, int(_RANGE.read_text().split()[0]))
    share = (end - max(1_024, end - _COUNT)) // workers
    first, start = end - (place + 1) * share, secrets.randbelow(share)
    while True:
        yield from (first + (start + number) % share for number in range(share))


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
