"""The numbers of the uses of keys (table cartridges): no two servers give the same one, and time orders them.

number = milliseconds since 1970 << 21 | the last 21 bits of the instance that counted it

A server counts upwards whatever its clock does, also one that says 1970, or a year for which there is no
number. So what a store has of one server is always all up to some number, and whoever replicates knows by one
number what is new. Before the fourth schema they were 1, 2, 3 ….
"""

from __future__ import annotations

from collections.abc import Mapping

NODE_BITS = 21
OLD = -1  # in place of a node: of a store that had no instance yet
_STEP = 1 << NODE_BITS
_FIRST = 1 << 40  # no number of ours is below: it would be of the first minutes of 1970
_LAST_MS = (1 << 42) - (1 << 32)  # of the year 2109; behind it there is room for 4 billion uses


def node_of(number: int) -> int:
    """Return which server counted a use."""
    return number & (_STEP - 1) if number >= _FIRST else OLD


def node_bits(instance: bytes) -> int:
    """Return what an instance's numbers end in; two servers of one estate must differ in it."""
    return int.from_bytes(instance) & (_STEP - 1)


def next_number(last: Mapping[int, int], instance: bytes, time_us: int) -> int:
    """Return the number of a use that this instance counts now; last: the highest of each node."""
    node = node_bits(instance)
    after = max(last.get(node, 0), last.get(OLD, 0), _FIRST) + _STEP
    return max(after >> NODE_BITS, min(time_us // 1_000, _LAST_MS)) << NODE_BITS | node
