"""A stream that ends while its first answer is under way: whoever called is told, and not left waiting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from qekm.model import Role
from tests.fakes.edge import Edge
from tests.fakes.pki import Pki
from tests.waiting import PATIENCE_S

MUCH = 3 << 20  # more than goes on its way before somebody reads


def _answers(begun: asyncio.Event) -> dict[str, Any]:
    async def generated(request: Any, context: Any) -> AsyncIterator[bytes]:
        begun.set()
        yield bytes(MUCH)
        await asyncio.sleep(60)

    async def written(request: Any, context: Any) -> None:
        begun.set()
        await context.write(bytes(MUCH))
        await asyncio.sleep(60)

    return {
        "/t/US": grpc.unary_stream_rpc_method_handler(generated),
        "/t/SS": grpc.stream_stream_rpc_method_handler(written),
    }


@pytest.mark.parametrize("name", ["/t/US", "/t/SS"])
async def test_a_certificate_that_is_revoked_meanwhile_ends_it_with_the_reason(
    tmp_path: Path, name: str
) -> None:
    pki, begun, forever = Pki(tmp_path / "home"), asyncio.Event(), asyncio.Event()
    pki.issue(Role.ADMINISTRATOR, "alice")

    async def requests() -> AsyncIterator[bytes]:
        yield b""
        await forever.wait()

    edge = Edge(pki, allows=lambda role, method: True)
    async with edge.serving(_answers(begun)), edge.dial("alice") as channel:
        stream: Any = (
            channel.unary_stream(name)(b"") if name == "/t/US" else channel.stream_stream(name)(requests())
        )
        await begun.wait()
        edge.deny.add(pki.serial("alice"))
        with pytest.raises(aio.AioRpcError) as caught:
            async with asyncio.timeout(PATIENCE_S):
                while await stream.read() is not aio.EOF:
                    pass
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        forever.set()
