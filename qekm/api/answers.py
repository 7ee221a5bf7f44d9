"""How a call's answers leave: one within its time, or many, as they come."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from grpc import aio

from qekm.errors import ServiceAway

DEADLINE_S = 30.0
"""Seconds that a call with one answer may take when its client set no deadline."""

Context = aio.ServicerContext[Any, Any]
T = TypeVar("T")


async def in_time(answer: Awaitable[T], context: Context) -> T:
    """Await the one answer of a call, with a limit of ours if the client set none."""
    told: float | None = context.time_remaining()
    try:
        async with asyncio.timeout(DEADLINE_S if told is None else None) as limit:
            return await answer
    except TimeoutError:
        if not limit.expired():
            raise
        raise ServiceAway(f"the answer took longer than {DEADLINE_S:.0f} s") from None


async def pour(inner: Callable[..., Any], request: Any, context: Context) -> None:
    """Run a behaviour with many answers, be it a generator or one that writes to the context itself."""
    if not inspect.isasyncgenfunction(inner):
        await inner(request, context)
        return
    async with contextlib.aclosing(inner(request, context)) as answers:
        async for answer in answers:
            await context.write(answer)
