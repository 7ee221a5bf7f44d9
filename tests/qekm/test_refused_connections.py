"""Whoever connects to the SSL port and is refused in the handshake, or says nothing, is counted."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qekm.rpc.handshakes import Handshakes
from qekm.rpc.tls import Files
from qekm.v1.server_pb2 import GetStatusRequest
from tests.qekm.api.running import Running, running
from tests.qekm.test_ssl_listener import answers, calling


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "home", keys=1, TransportListener__ssl__port="0") as run:
        yield run


async def refused(run: Running) -> int:
    """Return what the status says."""
    return (await run.client.server.GetStatus(GetStatusRequest())).ssl_refused


def shake_hands(port: int, stranger: Files | None) -> None:
    """Connect as somebody whose authority the service does not know, or without a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if stranger is not None:
        context.load_cert_chain(stranger.certificate, stranger.key)
    with socket.create_connection(("localhost", port), timeout=10) as plain:
        try:
            with context.wrap_socket(plain) as secured:
                secured.settimeout(10)
                while secured.recv(100):
                    pass
        except OSError:
            return


async def test_a_caller_is_none_of_them_however_often_it_calls(run: Running) -> None:
    async with calling(run.home, run.ports["ssl"]):
        pass
    assert await answers(run, run.ports["ssl"])
    assert await answers(run, run.ports["ssl"])
    assert await refused(run) == 0


async def test_strangers_are_counted(run: Running, tmp_path: Path) -> None:
    async with running(tmp_path / "other", keys=1) as other:
        home = other.home
        stranger = Files(home.certificate("gateway"), home.key("gateway"), home.trust)
        before = await refused(run)
        await asyncio.to_thread(shake_hands, run.ports["ssl"], stranger)
        await asyncio.to_thread(shake_hands, run.ports["ssl"], None)
        while await refused(run) < before + 2:
            await asyncio.sleep(0.05)
        assert await answers(run, run.ports["ssl"])
        assert await refused(run) == before + 2


def test_a_connection_speaks_once_and_few_are_remembered() -> None:
    count = Handshakes()
    for number in range(10_000):
        count.begin()
        count.speak(f"ipv4:10.0.0.1:{number}")
        count.speak(f"ipv4:10.0.0.1:{number}")
    assert count.refused == 0
    count.begin()
    assert count.refused == 1
