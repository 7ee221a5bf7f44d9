"""How a call's answers leave: one within its time, many as they come, or an error in their place."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn, TypeVar

from grpc import aio
from grpc_status import rpc_status

from qekm.api.underway import this_task
from qekm.errors import QekmError, ServiceAway
from qekm.rpc.status import to_status

DEADLINE_S = 30.0
"""Seconds that a call with one answer may take when its client set no deadline."""
_MOST_HEARD, _PATIENCE_S = 64, 5.0  # messages of a call that is refused already, and seconds for them

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


async def begin(context: Context) -> None:
    """Send what precedes the answers of a call with many, before anything may interrupt it.

    grpc.aio sends it with the first answer else, and once more with the status that follows on one which was
    interrupted; it then sends neither, and a caller waits who knows of no end.
    """
    with contextlib.suppress(aio.InternalError):  # the caller has gone; what follows finds that out
        await context.send_initial_metadata(())


async def pour(inner: Callable[..., Any], request: Any, context: Context) -> None:
    """Run a behaviour with many answers, be it a generator or one that writes to the context itself."""
    if not inspect.isasyncgenfunction(inner):
        await inner(request, context)
        return
    async with contextlib.aclosing(inner(request, context)) as answers:
        async for answer in answers:
            await context.write(answer)


async def each(read: Callable[[bytes], T], parts: AsyncIterator[bytes]) -> AsyncIterator[T]:
    """Yield the messages of a call with many, each read when it is wanted."""
    async for part in parts:
        yield read(part)


async def hear_out(rest: AsyncIterator[bytes]) -> None:
    """Let a caller who is refused end what it says, for a moment.

    A client of grpc.aio whose write fails learns of "Internal error from Core" instead of the refusal.
    """
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_PATIENCE_S):
            for _ in range(_MOST_HEARD):
                if await anext(rest, None) is None:
                    return


async def refuse(context: Context, error: QekmError) -> NoReturn:
    """End a call with an error; for a caller who went meanwhile the call is cancelled, as grpc does it."""
    try:
        await context.abort_with_status(rpc_status.to_status(to_status(error)))
    except aio.InternalError:  # nobody is there to be told
        this_task().cancel()
        await asyncio.sleep(0)
    raise AssertionError("abort returns never")
