"""Decide who may hold a connection: so many per address, so many in all, and who makes room when full."""

from __future__ import annotations

import resource
from itertools import islice
from typing import Protocol

from qekm.source import UNKNOWN, network_of

# Descriptors for everything that is no drive's connection: the link, TLS files, logs, a diagnosis of our own.
RESERVED_DESCRIPTORS = 128
# A connection costs about 10 KiB with the kernel's share, so this many are 1 GiB at the very worst.
MAXIMUM_CONNECTIONS = 100_000

# How many are asked to make room for one, so that a full house costs no time.
_CANDIDATES = 16


class Guest(Protocol):
    """A connection, as far as admission is concerned; `door` is the listener by which it came in."""

    door: object

    def leave(self) -> bool:
        """Close to make room; False if this is not the moment, because the service is working for it."""

    def drain(self) -> None:
        """Close as soon as the service has answered."""

    def retire(self) -> None:
        """Close as soon as no session is under way."""


class Admission:
    """The connections there are, by address (of IPv6: network).

    When all places are taken, the oldest connection over which no key was ever served goes: a flood from many
    addresses pushes out itself, drives that were served stay, and a new drive still gets in.
    """

    def __init__(self, per_address: int, total: int) -> None:
        self.per_address = per_address
        self._total = total
        self.entered = 0
        self.refused = {"address": 0, "full": 0, "crowded_out": 0}  # the last: who made room
        self._count: dict[str, int] = {}
        self._strangers: dict[Guest, None] = {}  # oldest first
        self._served: dict[Guest, None] = {}

    def __len__(self) -> int:
        return len(self._strangers) + len(self._served)

    @property
    def guests(self) -> tuple[Guest, ...]:
        """Return all connections there are now."""
        return (*self._strangers, *self._served)

    def enter(self, host: str, guest: Guest) -> bool:
        """Admit a new connection; False if it must be closed at once."""
        count = self._count.get(host, 0)
        if count >= self.per_address:
            self.refused["address"] += 1
            return False
        if len(self) >= self._total and not self._make_room():
            self.refused["full"] += 1
            return False
        self.entered += 1
        self._count[host] = count + 1
        self._strangers[guest] = None
        return True

    def served(self, guest: Guest) -> None:
        """Note that a key was served over this connection."""
        if guest in self._strangers:
            del self._strangers[guest]
            self._served[guest] = None

    def leave(self, host: str, guest: Guest) -> None:
        """Free the place of a connection that is gone; one that was never admitted had none."""
        if self._strangers.pop(guest, self) is self and self._served.pop(guest, self) is self:
            return
        count = self._count[host] - 1
        if count:
            self._count[host] = count
        else:
            del self._count[host]

    def _make_room(self) -> bool:
        gone = any(guest.leave() for guest in islice(self._strangers, _CANDIDATES))
        self.refused["crowded_out"] += gone
        return gone


def connection_limit() -> int:
    """Raise the soft limit of open files as far as it goes and return how many connections fit below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAXIMUM_CONNECTIONS + RESERVED_DESCRIPTORS
    limit = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft == resource.RLIM_INFINITY or soft >= limit:
        return min(soft if soft > 0 else wanted, wanted) - RESERVED_DESCRIPTORS
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return limit - RESERVED_DESCRIPTORS


def name_of(peer: tuple[str, int] | None) -> tuple[str, str]:
    """Return what a client is counted by, and its address with port; IPv4 through IPv6 is shown as IPv4."""
    host, port = (peer[0].removeprefix("::ffff:"), peer[1]) if peer else (UNKNOWN, 0)
    return network_of(host), f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
