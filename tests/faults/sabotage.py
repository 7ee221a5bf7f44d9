"""Builds that are broken on purpose, made of the real one in the process that calls this, and in no other.

A test that cannot tell them from the real one proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from qekm.store import integrity, store

_examine = integrity.examine


def _unverified() -> None:
    """Believe every row as it lies there, and no witness."""

    def examine(*arguments: Any) -> integrity.Found:
        return replace(_examine(*arguments), damaged=(), root_holds=True)

    _put(examine)


def _rootless() -> None:
    """Verify every row, and not what all of them are together; believe no witness."""

    def examine(*arguments: Any) -> integrity.Found:
        return replace(_examine(*arguments), root_holds=True)

    _put(examine)


def _put(examine: Any) -> None:
    integrity.examine = examine
    store._behind = lambda *_: ""


BUILDS: dict[str, Callable[[], None]] = {"": lambda: None, "unverified": _unverified, "rootless": _rootless}


def sabotage(build: str) -> None:
    """Break this process's program in one way."""
    BUILDS[build]()
