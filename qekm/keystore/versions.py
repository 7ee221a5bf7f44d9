"""The version of a key's mutable state: three counts in one number, so that it grows with each change.

Bit 48 and above: destructions that were called off. 32 to 47: moves to another group or drive while no drive
was given it. Below: all other changes. Of two servers that changed a key apart each count tells for itself
who knows more (qekm/replication/keys.py).
"""

from __future__ import annotations

_MOVE, _KEEPING = 1 << 32, 1 << 48


def changed(version: int) -> int:
    """Return the version of a key that was changed in any other way."""
    return version + 1


def moved(version: int) -> int:
    """Return the version of a key that was put elsewhere."""
    return version + _MOVE


def kept(version: int) -> int:
    """Return the version of a key whose destruction was called off."""
    return version + _KEEPING


def keepings_of(version: int) -> int:
    """Return how many destructions were called off."""
    return version >> 48


def moves_of(version: int) -> int:
    """Return how often the key was put elsewhere."""
    return version >> 32 & 0xFFFF


def latest(a: int, b: int) -> int:
    """Return the version that has the greater of each count."""
    changes = max(a % _MOVE, b % _MOVE)
    return max(keepings_of(a), keepings_of(b)) * _KEEPING + max(moves_of(a), moves_of(b)) * _MOVE + changes
