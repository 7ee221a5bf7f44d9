"""Keys by group and state, pools and drives.

A group beyond MOST is one of OTHERS; those that are low, and the default one, are told by name before others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from qekm.allocator import LOW_WATER, POOL, Allocator
from qekm.drives import Registry
from qekm.families import MOST, OTHERS, Family, gauge, one
from qekm.keystore import Keystore
from qekm.model import DriveState, KeyState

_GROUPS = 100_000
_STEP = 25  # groups, or twenty times as many drives, in half a millisecond


@dataclass(frozen=True, slots=True)
class Pool:
    """A group: its keys by state, how many of them this server has to give out, and when it is told so."""

    name: str
    counts: dict[KeyState, int]
    ready: float
    low_water: float
    is_low: float  # of OTHERS: how many groups are


class Shelves:
    """Those that are told by name, and what all of them have together."""

    def __init__(self) -> None:
        self._first: list[Pool] = []
        self._next: list[Pool] = []
        self._counts = dict.fromkeys(KeyState, 0)
        self._ready = self._low_water = self._low = 0.0
        self.count = 0

    def put(self, pool: Pool, first: bool) -> None:
        """Take one; first: it is told by name before others."""
        self.count += 1
        self._add(pool, 1)
        chosen = self._first if first else self._next
        if len(chosen) < MOST:
            chosen.append(pool)

    def listed(self) -> list[Pool]:
        """Return at most MOST, and one for all others."""
        found = [*self._first, *self._next][:MOST]
        if self.count <= MOST:
            return found
        for pool in found:
            self._add(pool, -1)
        return [*found, Pool(OTHERS, self._counts, self._ready, self._low_water, self._low)]

    def _add(self, pool: Pool, sign: int) -> None:
        for state, count in pool.counts.items():
            if count:
                self._counts[state] += sign * count
        self._ready += sign * pool.ready
        self._low_water += sign * pool.low_water
        self._low += sign * pool.is_low


def keys(allocator: Allocator, keystore: Keystore, registry: Registry) -> Iterator[Family | None]:
    """Yield the families of keys and pools, and None between steps of some groups."""
    named: set[str] = set()
    yield from _names(registry, named)
    shelves = Shelves()
    groups = allocator.page(limit=_GROUPS)
    yield None
    for number, group in enumerate(groups, 1):
        if number % _STEP == 0:
            yield None
        if not allocator.knows(group.name):
            continue  # it was removed meanwhile
        own = keystore.own_counts(group.name)
        held, ready = sum(own.values()), own[KeyState.READY]
        is_low = allocator.is_low(group.name, named.__contains__) or (group.is_default and not held)
        counts = keystore.counts(group.name)
        pool = Pool(group.name, counts, ready, min(held, POOL) * LOW_WATER, is_low)
        shelves.put(pool, is_low or group.is_default)
    yield None
    yield from _families(shelves.listed(), shelves.count)


def drives(registry: Registry) -> Iterator[Family]:
    """Yield how many drives are known."""
    rows = (((state.name.lower(),), registry.total(state)) for state in DriveState)
    yield gauge("qekm_drives", "Drives by state.", rows, "state")


def _names(registry: Registry, named: set[str]) -> Iterator[None]:
    """Find out which groups the entries of drives name, some at a time."""
    left = iter(list(registry.entries()))
    while part := list(islice(left, 20 * _STEP)):
        for drive in part:
            named.add(drive.group)
            named.update(drive.allowed_groups)
        yield None


def _families(pools: Iterable[Pool], total: int) -> Iterator[Family]:
    pools = list(pools)
    rows = (((p.name, state.name.lower()), count) for p in pools for state, count in p.counts.items())
    yield gauge("qekm_keys", "Keys by group and state.", rows, "group", "state")
    ready = (((pool.name,), pool.ready) for pool in pools)
    yield gauge("qekm_pool_ready_keys", "Keys that this server has to give out.", ready, "group")
    low = (((pool.name,), pool.low_water) for pool in pools)
    yield gauge("qekm_pool_low_water_keys", "At or below this many ready keys a pool is low.", low, "group")
    is_low = (((pool.name,), pool.is_low) for pool in pools)
    yield gauge("qekm_pool_low", "Whether a pool that drives need is low.", is_low, "group")
    yield one("qekm_groups", "Key groups.", total)
