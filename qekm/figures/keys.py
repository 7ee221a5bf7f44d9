"""Keys by group and state, pools and drives.

A group beyond MOST is one of OTHERS; those that are low, and the default one, are told by name before others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from qekm.allocator import LOW_WATER, POOL, Allocator
from qekm.drives import Registry
from qekm.families import MOST, OTHERS, gauge, one
from qekm.keystore import Keystore
from qekm.model import DriveState, KeyState

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_GROUPS = 100_000
_STEP = 100  # groups, or drives times five, in half a millisecond


@dataclass(frozen=True, slots=True)
class Pool:
    """A group: its keys by state, how many of them this server has to give out, and when it is told so."""

    name: str
    counts: dict[KeyState, int]
    ready: int
    low_water: float
    is_low: int  # of OTHERS: how many groups are
    is_default: bool = False


def keys(allocator: Allocator, keystore: Keystore, registry: Registry) -> Iterator[Metric | None]:
    """Yield the families of keys and pools, and None between steps of some groups."""
    pools: list[Pool] = []
    named: set[str] = set()
    yield from _names(registry, named)
    for number, group in enumerate(allocator.page(limit=_GROUPS), 1):
        if number % _STEP == 0:
            yield None
        if not allocator.knows(group.name):
            continue  # it was removed meanwhile
        own = keystore.own_counts(group.name)
        held, ready = sum(own.values()), own[KeyState.READY]
        is_low = allocator.is_low(group.name, named.__contains__) or (group.is_default and not held)
        counts = keystore.counts(group.name)
        low_water = min(held, POOL) * LOW_WATER
        pools.append(Pool(group.name, counts, ready, low_water, int(is_low), group.is_default))
    yield None
    yield from _families(_listed(pools), len(pools))


def drives(registry: Registry) -> Iterator[Metric]:
    """Yield how many drives are known."""
    rows = (((state.name.lower(),), registry.total(state)) for state in DriveState)
    yield gauge("qekm_drives", "Drives by state.", rows, "state")


def _names(registry: Registry, named: set[str]) -> Iterator[None]:
    """Find out which groups the entries of drives name, some drives at a time."""
    left = iter(list(registry.entries()))
    while part := list(islice(left, 5 * _STEP)):
        for drive in part:
            named.add(drive.group)
            named.update(drive.allowed_groups)
        yield None


def _listed(pools: list[Pool]) -> list[Pool]:
    """Return the pools that are told by name, and one for all others."""
    if len(pools) <= MOST:
        return pools
    ordered = sorted(pools, key=lambda pool: (not pool.is_default, not pool.is_low, pool.name))
    listed, rest = ordered[:MOST], ordered[MOST:]
    counts: Counter[KeyState] = Counter()
    for pool in rest:
        counts.update(pool.counts)
    sums = sum(pool.ready for pool in rest), sum(pool.low_water for pool in rest)
    return [*listed, Pool(OTHERS, counts, *sums, sum(pool.is_low for pool in rest))]


def _families(pools: Iterable[Pool], total: int) -> Iterator[Metric]:
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
