"""Call a server again and again: at once after a stream that stood for a while, else later and later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from qekm.errors import QekmError

_log = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0  # between two calls


async def keep_calling(
    call: Callable[[], Awaitable[None]], failed: Callable[[str], None], steady_s: Callable[[], float]
) -> None:
    """Call until cancelled. call: lasts as long as its stream; failed: told why one ended."""
    wait_s = FIRST_WAIT_S
    while True:
        since_s = steady_s()
        try:
            await call()
        except QekmError as error:
            failed(error.message)
        except Exception:
            _log.exception("a link to another server failed")
            failed("internal error")
        if steady_s() - since_s > LONGEST_WAIT_S:
            wait_s = FIRST_WAIT_S
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)
