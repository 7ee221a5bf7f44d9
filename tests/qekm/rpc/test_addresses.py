"""Names become addresses in the background, in time, or not at all."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from qekm.errors import BadConfiguration
from qekm.rpc.addresses import addresses_of

NAME = "TransportListener.ssl.host"


async def never(_host: str) -> list[Any]:
    """Wait for a resolver that does not answer."""
    await asyncio.sleep(3_600)
    return []


async def test_an_address_is_itself_and_nobody_is_asked() -> None:
    assert await addresses_of("::", NAME, never) == ["::"]
    assert await addresses_of("192.0.2.1", NAME, never) == ["192.0.2.1"]


async def test_a_name_of_this_machine_has_an_address() -> None:
    assert "127.0.0.1" in await addresses_of("localhost", NAME)


async def test_a_name_that_nobody_knows_is_told_with_its_property() -> None:
    with pytest.raises(BadConfiguration, match=r"nowhere\.invalid \(TransportListener\.ssl\.host\): \D+"):
        await addresses_of("nowhere.invalid", NAME)


async def test_a_resolver_that_does_not_answer_holds_nobody_up() -> None:
    asking = asyncio.create_task(addresses_of("slow.example", NAME, never, patience_s=1.5))
    began, longest = time.monotonic(), 0.0
    while not asking.done():
        before = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - before)
    print(f"waited {time.monotonic() - began:.2f} s, the loop at most {longest:.3f} s")
    with pytest.raises(BadConfiguration, match=r"within 1\.5 s"):
        await asking
    assert longest < 1.0
