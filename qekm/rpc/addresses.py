"""Host names as addresses, asked for without holding up the event loop: drives are served in it meanwhile."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from qekm.errors import BadConfiguration

# Less than a gateway is given to answer a change of its properties: it must fail there, and be told in time.
PATIENCE_S = 3.0
Ask = Callable[[str], Awaitable[list[Any]]]


async def _ask(host: str) -> list[Any]:
    return await asyncio.get_running_loop().getaddrinfo(
        host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )


async def addresses_of(host: str, name: str, ask: Ask = _ask, patience_s: float = PATIENCE_S) -> list[str]:
    """Return the addresses of a host, itself if it is one; BadConfiguration names the property `name`.

    ask: gives what getaddrinfo does. patience_s: how long it may take.
    """
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    try:
        found = await asyncio.wait_for(ask(host), patience_s)
    except TimeoutError:
        raise _unknown(host, name, f"nothing told its address within {patience_s:g} s") from None
    except OSError as error:
        raise _unknown(host, name, error.strerror or "it has no address") from None
    return list(dict.fromkeys(str(answer[4][0]) for answer in found))


def _unknown(host: str, name: str, why: str) -> BadConfiguration:
    hint = "name an address of this machine"
    return BadConfiguration(f"cannot listen at {host} ({name}): {why}", hint=hint, property=name)
