"""Signs of life over the wire: given when asked for, after what was sent before, and over the SSL port."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from grpc import aio

from qekm.errors import NotAllowed
from qekm.rpc.channel import open_async_channel
from qekm.rpc.status import from_rpc_error
from qekm.rpc.tls import Files, client_credentials
from qekm.v1.serving_pb2 import GatewayHello, ServeRequest, SessionEnd
from qekm.v1.serving_pb2_grpc import ServingServiceStub
from tests.qekm.api.drives_at_work import HeldStore, Site, play
from tests.qekm.api.running import Running, running


async def test_a_sign_of_life_is_given_for_each_that_is_asked_for_and_for_nothing_else(run: Running) -> None:
    site = await Site.of(run)
    async with run.gateway() as gateway:
        for _ in range(3):
            await gateway.stream.write(ServeRequest(alive=True))
            answer = await gateway.read()
            assert answer.alive and not answer.replies
        await gateway.stream.write(ServeRequest(alive=True, steps=[site.asking(site.drive()).step(0)]))
        answer = await gateway.read()
        assert answer.alive and len(answer.replies) == 1
        await gateway.stream.write(ServeRequest(alive=True, session_ends=[SessionEnd(session_id=1)]))
        answer = await gateway.read()
        assert answer.alive and not answer.replies
        await play(gateway, asking := site.asking(site.drive()))
        assert asking.outcome.confirmed


async def test_a_service_whose_disk_hangs_gives_no_sign_of_life_until_it_has_written(tmp_path: Path) -> None:
    async with running(tmp_path / "home", store_type=HeldStore) as run:
        assert isinstance(run.store, HeldStore)
        site = await Site.of(run)
        asking = site.asking(site.drive())
        async with run.gateway() as gateway:
            await play(gateway, asking, steps=1)
            run.store.open_.clear()
            await gateway.stream.write(ServeRequest(steps=[asking.step(0)]))
            await gateway.stream.write(ServeRequest(alive=True))
            first = asyncio.ensure_future(gateway.read())
            await asyncio.sleep(0.3)
            assert not first.done()
            run.store.open_.set()
            assert (await first).replies and (await gateway.read()).alive


@pytest.mark.parametrize("allowed", ["on", "off"])
async def test_a_gateway_of_another_machine_is_served_over_the_ssl_port_where_that_is_allowed(
    tmp_path: Path, allowed: str
) -> None:
    async with running(tmp_path / "home", TransportListener__ssl__gateways=allowed) as run:
        files = Files(run.home.certificate("gateway"), run.home.key("gateway"), run.home.trust)
        target = f"localhost:{run.service.ssl.port}"
        async with open_async_channel(target, client_credentials(files)) as channel:
            stream = ServingServiceStub(channel).Serve()
            first = ServeRequest(hello=GatewayHello(version="1", service=target), alive=True)
            if allowed == "on":
                await stream.write(first)
                async with asyncio.timeout(30):
                    async for answer in stream:
                        if answer.alive:
                            break
                assert [link.hello.service for link in run.service.gateways] == [target]
                stream.cancel()
                return
            with pytest.raises(aio.AioRpcError) as caught:  # whichever meets the refusal first
                await stream.write(first)
                await stream.read()
        async with asyncio.timeout(30):
            while not (told := [each for each in await run.records() if each.event == "rpc.refuse"]):
                await asyncio.sleep(0.05)
        assert "/qekm.v1.ServingService/Serve" in told[0].message
    error = from_rpc_error(caught.value, "")
    assert isinstance(error, NotAllowed) and "TransportListener.ssl.gateways=on" in error.advice
