"""What servers say to each other over gRPC arrives as it was said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from grpc import aio
from hypothesis import given
from hypothesis import strategies as st

from qekm.api import guard
from qekm.api.replication import replicate
from qekm.errors import PeerRefused, QekmError, ServiceAway
from qekm.model import Role
from qekm.replication import messages
from qekm.replication.messages import Message, Pipe
from qekm.rpc.identity import Identity
from qekm.rpc.peer import Calling, of_proto, to_proto
from qekm.v1 import peers_pb2 as pb
from qekm.v1.peers_pb2_grpc import PeersServiceServicer, PeersServiceStub, add_PeersServiceServicer_to_server

LONG = st.integers(-(2**63), 2**63 - 1)
SHORT = st.integers(0, 2**32 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUE = st.none() | LONG | TEXT | st.binary()
KEYS = st.tuples() | st.tuples(st.builds(messages.RecordKey, SHORT, st.binary()))
ROW = st.builds(messages.Row, LONG, SHORT, st.lists(VALUE).map(tuple), LONG, st.binary(), st.booleans())
TIME = st.integers(0, 2**50)
MESSAGES: st.SearchStrategy[Message] = st.one_of(
    st.builds(
        messages.Hello,
        *(TEXT, st.binary(), LONG, st.binary(), TEXT, TEXT),
        st.lists(st.tuples(TEXT, st.lists(TEXT).map(tuple))).map(tuple),
        *(st.binary(), LONG, KEYS, st.binary()),
    ),
    st.builds(messages.Batch, LONG, LONG, LONG, st.lists(ROW).map(tuple), KEYS, st.binary()),
    st.builds(messages.Acknowledgement, LONG),
    st.builds(messages.Heartbeat, LONG, TIME, LONG, TEXT, SHORT),
    st.builds(messages.Refusal, TEXT, TEXT, LONG, st.binary()),
    st.builds(
        messages.Comparison,
        LONG,
        st.booleans(),
        st.lists(st.builds(messages.TableSum, TEXT, LONG, st.binary())).map(tuple),
        st.lists(st.builds(messages.BucketSum, TEXT, SHORT, st.binary())).map(tuple),
        st.lists(st.builds(messages.RowSum, TEXT, VALUE, st.binary())).map(tuple),
        st.lists(TEXT).map(tuple),
        *(st.booleans(), LONG, st.booleans()),
    ),
)


@given(MESSAGES)
def test_every_message_survives_the_contract(message: Message) -> None:
    assert of_proto(pb.PeerMessage.FromString(to_proto(message).SerializeToString())) == message


def test_what_only_a_newer_release_says_is_passed_over() -> None:
    assert of_proto(pb.PeerMessage()) is None


class _Links:
    """Hands the called end of each stream over."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[tuple[str, Pipe]] = asyncio.Queue()
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def called(self, name: str, pipe: Pipe) -> None:
        """Serve until the test says that it is over."""
        await self.came.put((name, pipe))
        await self.over


@asynccontextmanager
async def stream() -> AsyncIterator[tuple[Calling, _Links]]:
    """Have a stream of gRPC on loopback; the guard's part is done by the servicer."""
    links = _Links()

    class Servicer(PeersServiceServicer):
        async def Replicate(self, requests: Any, context: Any) -> None:  # type: ignore[override]
            """Be called by server b."""
            guard._caller.set(Identity(Role.SERVER, "b", "01"))
            await replicate(links, requests, context)

    server = aio.server()
    add_PeersServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = PeersServiceStub(channel)
        yield Calling(stub.Replicate(), "server a"), links
    await server.stop(0)


async def test_both_ends_hear_each_other_and_the_end() -> None:
    async with stream() as (calling, links):
        await calling.send(messages.Acknowledgement(5))
        name, called = await asyncio.wait_for(links.came.get(), 10)
        assert name == "b"
        assert await called.receive() == messages.Acknowledgement(5)
        await called.send(messages.Acknowledgement(6))
        assert await calling.receive() == messages.Acknowledgement(6)
        links.over.set_result(None)
        assert await calling.receive() is None


async def test_a_refusal_comes_as_the_error_that_it_is() -> None:
    async with stream() as (calling, links):
        await calling.send(messages.Acknowledgement(5))
        await asyncio.wait_for(links.came.get(), 10)
        links.over.set_exception(PeerRefused("you are none of us", peer="b"))
        with pytest.raises(PeerRefused, match="none of us"):
            await calling.receive()
        with pytest.raises(QekmError):
            await calling.send(messages.Acknowledgement(5))


async def test_a_server_that_goes_away_is_an_error_of_ours_at_both_ends() -> None:
    async with stream() as (calling, links):
        await calling.send(messages.Acknowledgement(5))
        _, called = await asyncio.wait_for(links.came.get(), 10)
        assert await called.receive() == messages.Acknowledgement(5)
        calling._call.cancel()
        with pytest.raises(QekmError):
            await calling.receive()
        with pytest.raises(QekmError):
            await calling.send(messages.Acknowledgement(6))
        with pytest.raises(QekmError):
            for _ in range(1_000):
                await called.send(messages.Acknowledgement(7))
                await asyncio.sleep(0.01)


async def test_nobody_who_answers_is_an_error_of_ours() -> None:
    async with aio.insecure_channel("127.0.0.1:1") as channel:
        stub: Any = PeersServiceStub(channel)
        calling = Calling(stub.Replicate(), "127.0.0.1:1")
        with pytest.raises(ServiceAway):
            await calling.send(messages.Acknowledgement(5))
            await calling.receive()
