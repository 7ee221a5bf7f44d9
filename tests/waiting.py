"""Waiting for what comes, with patience: other people's load makes every process slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 60.0
_NEVER = "it never was so"


def wait_for(what: Callable[[], Any], why: str = _NEVER) -> Any:
    """Return what is so, or there, at last; AssertionError, which says why."""
    end = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < end, why
        time.sleep(0.005)
    return found


async def until(what: Callable[[], Any], why: str = _NEVER) -> Any:
    """Return the same, and let other tasks go on."""
    end = time.monotonic() + PATIENCE_S
    while not (found := what()):
        assert time.monotonic() < end, why
        await asyncio.sleep(0.005)
    return found
