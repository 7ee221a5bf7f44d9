"""Who is refused in the middle of what it says is heard for a moment, and no longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from qekm.api import answers
from qekm.api.answers import each, hear_out


async def test_who_says_little_is_heard_to_the_end_and_who_goes_on_for_ever_is_not() -> None:
    said = list[int]()

    async def saying(count: int) -> AsyncIterator[bytes]:
        for number in range(count):
            said.append(number)
            yield b""

    await hear_out(saying(3))
    assert len(said) == 3
    await hear_out(saying(1_000_000))
    assert len(said) == 3 + 64


async def test_who_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_PATIENCE_S", 0.05)

    async def silent() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async with asyncio.timeout(10):
        await hear_out(silent())


async def test_a_broken_call_ends_it_and_a_stop_goes_through() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b""
        raise RuntimeError("gone")

    async def silent() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    await hear_out(broken())
    hearing = asyncio.create_task(hear_out(silent()))
    await asyncio.sleep(0)
    hearing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hearing


async def test_messages_are_read_when_they_are_wanted() -> None:
    read = list[bytes]()

    async def parts() -> AsyncIterator[bytes]:
        yield b"1"
        yield b"2"

    messages = each(lambda part: read.append(part) or int(part), parts())
    assert (await anext(messages), read) == (1, [b"1"])
    assert (await anext(messages), await anext(messages, None)) == (2, None)
