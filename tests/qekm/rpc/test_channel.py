"""Options that grpc really knows, and what they do."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from qekm.model import Role
from qekm.rpc import channel, tls
from tests.fakes.edge import Edge
from tests.fakes.pki import Pki


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    """Return an estate."""
    return Pki(tmp_path / "home")


def test_grpc_knows_every_option() -> None:
    """An option with a wrong name is ignored in silence; its right name is in grpc's library."""
    [library] = [path.read_bytes() for path in Path(grpc.__file__).parent.glob("_cython/cygrpc*.so")]
    names = {name for name, _ in (*channel.SERVER_OPTIONS, *channel.CLIENT_OPTIONS)}
    assert {name for name in names if name.encode() not in library} == set()
    assert b"grpc.http2.min_recv_ping_interval_without_data_ms" not in library  # negative control


async def test_a_second_server_on_a_port_does_not_start(pki: Pki) -> None:
    async with Edge(pki).serving() as edge:
        second = channel.make_server([])
        with pytest.raises(RuntimeError):
            second.add_secure_port(f"127.0.0.1:{edge.port}", tls.server_credentials(pki.server))
        await second.stop(0)


async def test_a_message_over_the_limit_is_refused_and_the_next_one_is_served(pki: Pki) -> None:
    async def echo(request: bytes, context: Any) -> bytes:
        return bytes(int(request)) if len(request) < 99 else b"long"

    handlers: dict[str, Any] = {"/t/Echo": grpc.unary_unary_rpc_method_handler(echo)}
    edge = Edge(pki, allows=lambda role, method: role is Role.ADMINISTRATOR)
    async with edge.serving(handlers), edge.dial("administrator") as opened:
        ask = opened.unary_unary("/t/Echo")
        assert await ask(bytes(channel.MAXIMUM_MESSAGE - 1_000), timeout=20) == b"long"
        for request in (bytes(channel.MAXIMUM_MESSAGE + 1), b"%d" % (channel.MAXIMUM_MESSAGE + 1)):
            with pytest.raises(aio.AioRpcError) as caught:
                await ask(request, timeout=20)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await ask(b"3", timeout=20) == bytes(3)


def test_a_client_ignores_the_proxy_of_its_environment(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Edge(pki).serving_aside() as edge:
        credentials = tls.client_credentials(pki.files("administrator"))
        with channel.open_channel(edge.target, credentials) as opened:
            ask: Any = opened.unary_unary("/qekm.v1.ServerService/GetVersion")
            assert ask(b"", timeout=20) == b""


async def test_a_connection_that_says_nothing_is_closed(pki: Pki) -> None:
    async with Edge(pki).serving() as edge:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        begun = time.monotonic()
        assert await asyncio.wait_for(reader.read(), 20) == b""
        assert 2 < time.monotonic() - begun < 15
        writer.close()


@pytest.mark.slow
async def test_a_frozen_client_is_noticed_in_seconds(pki: Pki) -> None:
    """Neither end of its connection is closed: only the missing answer to a ping tells."""
    ended = asyncio.Event()

    async def wait(request: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            yield b"begun"
            await asyncio.sleep(600)
        finally:
            ended.set()

    code = f"""
import grpc
from pathlib import Path
from qekm.rpc import channel, tls
files = tls.Files(*map(Path, {[str(path) for path in paths_of(pki)]}))
with channel.open_channel("localhost:" + input(), tls.client_credentials(files)) as opened:
    for answer in opened.unary_stream("/t/Wait")(b""):
        print(answer.decode(), flush=True)
"""
    handlers: dict[str, Any] = {"/t/Wait": grpc.unary_stream_rpc_method_handler(wait)}
    edge = Edge(pki, allows=lambda role, method: role is Role.ADMINISTRATOR)
    async with edge.serving(handlers):
        client = await asyncio.create_subprocess_exec(
            sys.executable, "-c", code, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(b"%d\n" % edge.port)
        assert await asyncio.wait_for(client.stdout.readline(), 30) == b"begun\n"
        await asyncio.sleep(12)  # an idle stream with a live client stays
        assert not ended.is_set()
        client.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        try:
            await asyncio.wait_for(ended.wait(), 40)
        finally:
            client.kill()
            await client.wait()
    assert time.monotonic() - begun < 25  # 10 s until the next ping, 5 s for its answer, and a busy machine


def paths_of(pki: Pki) -> tuple[Path, Path, Path]:
    """Return the administrator's three files."""
    files = pki.files("administrator")
    return files.certificate, files.key, files.trust
