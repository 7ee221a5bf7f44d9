"""Blocking work beside the event loop, in a thread that nobody has to wait for.

The loop's own threads are waited for when a program ends: a network file system that does not answer would
keep the service from stopping.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from qekm.errors import BackupFailed

T = TypeVar("T")
Tell = Callable[[str, int, int], None]  # step, done, of so many

STALL_S = 300.0  # without a word from the work; a copy of a million keys takes 20 s
_GRACE_S = 3.0  # for the work to notice that it was called off


class CalledOffError(Exception):
    """Raised in the thread, at the next report of progress, when nobody waits for the result any more."""


async def aside(work: Callable[[Tell], T], tell: Tell) -> T:
    """Return what the work returns; it is given what it is to tell its progress to, which may end it.

    tell: called in the event loop. Whatever the work raises is raised here; BackupFailed if it says nothing
    for too long, and is then left alone.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    off = threading.Event()
    heard = [loop.time()]

    def hear(step: str, done: int, total: int) -> None:
        """Pass progress on, in the event loop."""
        heard[0] = loop.time()
        tell(step, done, total)

    def report(step: str, done: int, total: int) -> None:
        """Tell progress, in the thread."""
        if off.is_set():
            raise CalledOffError
        loop.call_soon_threadsafe(hear, step, done, total)

    def run() -> None:
        """Do the work, in the thread."""
        with suppress(RuntimeError):  # the loop has ended: nobody waits
            try:
                result = work(report)
            except BaseException as error:
                loop.call_soon_threadsafe(future.set_exception, error)
            else:
                loop.call_soon_threadsafe(future.set_result, result)

    threading.Thread(target=run, name="qekm-backup", daemon=True).start()
    try:
        while not future.done():
            await asyncio.wait([future], timeout=STALL_S)
            if not future.done() and loop.time() - heard[0] >= STALL_S:
                raise BackupFailed(f"the disk of the backups does not answer for {STALL_S:.0f} s")
        return future.result()
    except BaseException:
        off.set()
        await asyncio.wait([future], timeout=_GRACE_S)
        if future.done():
            future.exception()  # nobody else asks for it
        raise
