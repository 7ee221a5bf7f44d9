"""What our interceptors leave alone; deadlines and errors are in tests/qekm/test_client.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from qekm.model import Role
from qekm.rpc import calls, channel, tls
from tests.fakes.edge import Edge
from tests.fakes.pki import Pki


async def _told(request: bytes, context: Any) -> bytes:
    metadata = dict(context.invocation_metadata())
    return f"{metadata.get('x-note')} {'long' if context.time_remaining() > 60 else 'short'}".encode()


HANDLERS: dict[str, Any] = {"/t/Told": grpc.unary_unary_rpc_method_handler(_told)}


@pytest.fixture
def edge(tmp_path: Path) -> Edge:
    """Return an edge where an administrator may call everything."""
    return Edge(Pki(tmp_path / "home"), allows=lambda role, method: role is Role.ADMINISTRATOR)


async def test_metadata_and_a_deadline_of_the_callers_own_travel(edge: Edge) -> None:
    async with edge.serving(HANDLERS):
        credentials = tls.client_credentials(edge.pki.files("administrator"))

        def blocking() -> list[bytes]:
            with channel.open_channel(edge.target, credentials, [calls.Calls(edge.target, 30)]) as opened:
                ask: Any = opened.unary_unary("/t/Told")
                return [
                    ask(b"", metadata=(("x-note", "hello"),)),
                    ask(b"", timeout=100),
                    ask.future(b"", timeout=100, metadata=(("x-note", "later"),)).result(),
                ]

        assert await asyncio.to_thread(blocking) == [b"hello short", b"None long", b"later long"]
        made: Any = channel.open_async_channel(
            edge.target, credentials, [calls.AsyncCalls(edge.target, 30), calls.AsyncStreams(edge.target)]
        )
        async with made:
            ask = made.unary_unary("/t/Told")
            assert await ask(b"", metadata=(("x-note", "hello"),)) == b"hello short"
            assert await ask(b"", timeout=100) == b"None long"
