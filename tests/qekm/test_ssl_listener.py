"""The listener of peers and remote administration: it moves while it answers, and may be missing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from qekm import ssl_listener
from qekm.errors import BadConfiguration, Draining, PortInUse
from qekm.home import Home
from qekm.properties.listeners import SSL_HOST, SSL_PORT
from qekm.rpc.channel import open_async_channel
from qekm.rpc.tls import Files, client_credentials
from qekm.ssl_listener import AGAIN_S, SslListener
from qekm.v1.certificates_pb2 import GetTrustRequest
from qekm.v1.certificates_pb2_grpc import CertificatesServiceStub
from qekm.v1.server_pb2 import GetStatusRequest, GetStatusResponse, GetVersionRequest
from qekm.v1.server_pb2_grpc import ServerServiceStub
from qekm.v1.serving_pb2 import GatewayHello, ServeRequest
from qekm.v1.serving_pb2_grpc import ServingServiceStub
from tests.fakes.edge import Routes
from tests.ports import free_port
from tests.qekm.api.running import Running, running
from tests.waiting import PATIENCE_S


@pytest.fixture(autouse=True)
def _file_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing in the environment that wins over the file."""
    monkeypatch.delenv("QEKM_PROPERTY_TransportListener_ssl_port")


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path / "home", keys=1) as run:
        yield run


@contextlib.asynccontextmanager
async def calling(home: Home, port: int, identity: str = "gateway") -> AsyncIterator[aio.Channel]:
    """Open a channel to a port of a service."""
    files = Files(home.certificate(identity), home.key(identity), home.trust)
    async with open_async_channel(f"localhost:{port}", client_credentials(files)) as channel:
        yield channel


async def answers(run: Running, port: int) -> bool:
    """Tell whether a new connection to a port is served."""
    async with calling(run.home, port) as channel:
        try:
            await ServerServiceStub(channel).GetVersion(GetVersionRequest(), timeout=5)
        except aio.AioRpcError:
            return False
        return True


async def move(run: Running, port: int, **more: str) -> Any:
    """Have the service listen on another port."""
    return await run.service.configuration.update({SSL_PORT: str(port)} | more)


async def status(run: Running) -> GetStatusResponse:
    """Return what the status says, asked on the loopback port."""
    return await run.client.server.GetStatus(GetStatusRequest())


@contextlib.contextmanager
def taken() -> Iterator[int]:
    """Have a port taken for a block, at all addresses."""
    port = free_port()
    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True):
        yield port


async def test_it_serves_beside_the_loopback_port_and_the_status_has_its_number(run: Running) -> None:
    assert run.ports["ssl"] == run.service.ssl.port != run.ports["grpc"]
    assert await answers(run, run.ports["ssl"])
    assert (await status(run)).ssl_port == run.ports["ssl"]


async def test_a_person_without_a_password_is_let_in_near_and_not_from_afar(run: Running) -> None:
    async with calling(run.home, run.ports["ssl"], "administrator") as channel:
        with pytest.raises(aio.AioRpcError, match="no command password"):
            await ServerServiceStub(channel).GetStatus(GetStatusRequest())
    assert (await status(run)).version


async def test_it_moves_and_the_port_before_answers_no_more(run: Running) -> None:
    old, new = run.ports["ssl"], free_port()
    changed = await move(run, new)
    assert changed.notes == (f"the SSL port is {new}; calls under way on {old} are finished",)
    assert await answers(run, new)
    assert not await answers(run, old)
    assert ((await status(run)).ssl_port, run.service.ports["ssl"]) == (new, new)
    assert f"{SSL_PORT}={new}" in run.home.config.read_text()
    assert await move(run, old)
    assert await answers(run, old)


async def test_it_can_be_moved_by_a_call_that_it_serves_itself(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl_listener, "GRACE_S", 3 * PATIENCE_S)
    new = free_port()
    async with calling(run.home, run.ports["ssl"]) as channel:
        stub = ServerServiceStub(channel)
        await stub.GetVersion(GetVersionRequest())
        moving = asyncio.ensure_future(move(run, new))
        asked = [asyncio.ensure_future(stub.GetVersion(GetVersionRequest())) for _ in range(50)]
        await asyncio.wait_for(moving, PATIENCE_S)  # waits for no call
        told = await asyncio.gather(*asked, return_exceptions=True)
    assert any(not isinstance(each, BaseException) for each in told)
    assert await answers(run, new)


async def test_a_gateway_is_not_served_from_afar(run: Running) -> None:
    async with calling(run.home, run.ports["ssl"]) as channel:
        stream = ServingServiceStub(channel).Serve()
        with pytest.raises(aio.AioRpcError, match="over the SSL port"):
            await stream.write(ServeRequest(hello=GatewayHello(version="9")))
            await stream.read()
        assert (await CertificatesServiceStub(channel).GetTrust(GetTrustRequest())).trust_pem
    assert not list(run.service.gateways)
    while not (told := [each for each in await run.records() if each.event == "rpc.refuse"]):
        await asyncio.sleep(0.01)
    assert [(each.actor, each.code) for each in told] == [("gateway/gateway", "NOT_ALLOWED")]


async def _echo(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def test_a_call_under_way_goes_on_for_a_while_on_the_port_before(
    run: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssl_listener, "GRACE_S", 3.0)
    routes = Routes({"/t/SS": grpc.stream_stream_rpc_method_handler(_echo)})
    settings = run.service.ssl._settings.copy()
    ssl = SslListener(settings, run.service.ssl._files, (), lambda it: it.add_generic_rpc_handlers((routes,)))
    await ssl.start()
    async with calling(run.home, ssl.port) as channel:
        stream: Any = channel.stream_stream("/t/SS")()
        await stream.write(b"before")
        assert await stream.read() == b"before"
        coming = settings.copy()
        coming.put(SSL_PORT, str(free_port()))
        applied = await ssl.apply(coming)
        assert applied.finish
        await applied.finish()
        await stream.write(b"after")
        assert await stream.read() == b"after"
        with pytest.raises((aio.AioRpcError, asyncio.CancelledError)):
            assert await stream.read() is not aio.EOF
    await ssl.stop(0)


async def test_a_port_that_is_taken_changes_nothing_anywhere(run: Running) -> None:
    old, before = run.ports["ssl"], run.home.config.read_bytes()
    with taken() as port, pytest.raises(PortInUse, match=r"\(TransportListener\.ssl\.port\) is taken"):
        await move(run, port)
    with pytest.raises(BadConfiguration, match=r"192\.0\.2\.1"):
        await move(run, free_port(), **{SSL_HOST: "192.0.2.1"})
    assert run.home.config.read_bytes() == before
    assert run.service.ssl.port == old
    assert await answers(run, old)
    assert (await status(run)).ssl_port == old


async def test_what_another_part_refuses_is_taken_back_here_too(run: Running) -> None:
    old, new = run.ports["ssl"], free_port()

    async def refuse(_coming: object) -> Any:
        assert await answers(run, new)
        raise PortInUse("not mine")

    run.service.configuration.on_change([SSL_PORT], refuse)
    with pytest.raises(PortInUse, match="not mine"):
        await move(run, new)
    assert not await answers(run, new)
    assert await answers(run, old)
    assert run.service.ssl.port == old


async def test_the_same_again_changes_nothing_and_0_is_the_free_port_that_there_is(run: Running) -> None:
    old = run.ports["ssl"]
    assert (await move(run, 0)).notes == ()
    assert run.service.ssl.port == old
    new = free_port()
    await move(run, new)
    assert (await move(run, new)).notes == ()
    await move(run, 0)
    assert run.service.ssl.port not in (0, new)


async def test_an_overlapping_address_needs_another_port_and_that_is_told(run: Running) -> None:
    new = free_port()
    await move(run, new)
    with pytest.raises(PortInUse, match="by this listener itself") as caught:
        await run.service.configuration.update({SSL_HOST: "127.0.0.1"})
    assert "another port" in caught.value.advice
    await move(run, free_port(), **{SSL_HOST: "127.0.0.1"})
    assert await answers(run, run.service.ssl.port)


async def test_several_moves_at_once_are_made_in_turn(run: Running) -> None:
    ports = [free_port() for _ in range(3)]
    await asyncio.gather(*(move(run, port) for port in ports))
    assert [await answers(run, port) for port in ports] == [False, False, True]


async def test_a_port_that_cannot_be_had_is_degraded_and_tried_again_every_minute(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(taken())
        properties: Any = {SSL_PORT.replace(".", "__"): str(port)}
        async with running(tmp_path / "home", keys=1, **properties) as run:
            assert "ssl" not in run.ports
            told = await status(run)
            line = next(line for line in told.degraded if "remote administration" in line)
            assert line.startswith("no peers and no remote administration: ")
            assert f"port {port} (TransportListener.ssl.port) is taken" in line
            assert told.ssl_port == 0
            now = 0.0
            run.service.ssl._now_s = lambda: now
            run.service.ssl._tried_s = 0.0
            stack.close()
            for now, there in ((AGAIN_S - 1, False), (AGAIN_S, True)):  # noqa: B007
                await run.service.ssl.tick()
                assert (run.service.ssl.port == port) is there
            assert await answers(run, port)
            told = await status(run)
            assert told.ssl_port == port
            assert not [line for line in told.degraded if "remote administration" in line]


async def test_a_service_without_its_port_takes_another_one(tmp_path: Path) -> None:
    with taken() as port:
        properties: Any = {SSL_PORT.replace(".", "__"): str(port)}
        async with running(tmp_path / "home", keys=1, **properties) as run:
            new = free_port()
            await move(run, new)
            assert await answers(run, new)
            assert run.service.ssl.lines() == []


async def test_a_new_port_is_told_and_one_that_cannot_be_told_is_served_all_the_same(run: Running) -> None:
    told: list[int] = []
    run.service.ssl.tell = told.append
    new = free_port()
    await move(run, new)
    assert told == [new]

    def full(_port: int) -> None:
        raise BadConfiguration("no space left")

    run.service.ssl.tell = full
    new = free_port()
    await move(run, new)
    assert await answers(run, new)


async def test_status_of_the_whole_is_of_one_service_on_both_ports(run: Running) -> None:
    started = (await status(run)).start_time
    await move(run, free_port())
    assert (await status(run)).start_time == started


async def test_a_stop_in_the_middle_of_a_move_leaves_nothing_that_listens(run: Running) -> None:
    ssl, coming = run.service.ssl, run.service.configuration.settings.copy()
    coming.put(SSL_PORT, str(free_port()))
    applied = await ssl.apply(coming)
    assert applied.finish is not None
    await ssl.stop(0)
    await applied.finish()
    assert not await answers(run, coming[SSL_PORT])
    assert ssl.port == 0


async def test_a_service_that_stops_takes_no_change(run: Running) -> None:
    await run.service.configuration.close()
    with pytest.raises(Draining, match="stopping"):
        await move(run, free_port())
