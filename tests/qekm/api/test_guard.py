"""The guard on a real server: identity, authority, revocation, errors, deadlines; every shape of call."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2 as details_pb2
from grpc import aio
from grpc_reflection.v1alpha import reflection
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub
from grpc_status import rpc_status

from qekm.accounts import Accounts
from qekm.api import answers, guard
from qekm.api.entry import Entry
from qekm.api.guard import caller
from qekm.api.replication import replicate
from qekm.denylist import DenyList
from qekm.errors import BadArgument, GatewayAway, PeerRefused, RevokedIdentity, StoreFailed, UnknownKey
from qekm.model import Role
from qekm.rpc.identity import read_passport
from qekm.sessions import Sessions
from tests.fakes.edge import Edge, contract, empty_handlers, shape
from tests.fakes.pki import DAY_US, Pki, now_us
from tests.waiting import PATIENCE_S, until


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    """Return an estate with an administrator called alice."""
    pki = Pki(tmp_path / "home")
    pki.issue(Role.ADMINISTRATOR, "alice")
    return pki


async def _once(request: bytes, context: Any) -> bytes:
    if request == b"stranger":
        raise RuntimeError("the password is hunter2")
    if request == b"unknown":
        raise UnknownKey("no key is called QKM1", alias="QKM1")
    if request == b"field":
        raise BadArgument("count is 0", field="count")
    if request == b"away":
        raise GatewayAway("no gateway is connected")
    if request == b"failed":
        raise StoreFailed("a write failed")
    if request == b"own":
        await context.abort(grpc.StatusCode.DATA_LOSS, "said by the servicer")
    if request == b"slow":
        await asyncio.sleep(60)
    if request == b"cancelled":
        waited_for: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waited_for.cancel()
        await waited_for
    if request == b"timeout":
        raise TimeoutError("of something inside")
    return caller().actor.encode()


async def _many(request: bytes, context: Any) -> AsyncIterator[bytes]:
    yield caller().actor.encode()
    if request == b"endless":
        await asyncio.sleep(60)
    yield await _once(request, context)


async def _gathered(requests: AsyncIterator[bytes], context: Any) -> bytes:
    answer = b""
    async for request in requests:
        answer = await _once(request, context)
    return answer


async def _each(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    async for request in requests:
        yield await _once(request, context)


async def _written(request: bytes, context: Any) -> None:
    await context.write(caller().actor.encode())
    await context.write(await _once(request, context))


HANDLERS: dict[str, Any] = {
    "/t/UU": grpc.unary_unary_rpc_method_handler(_once),
    "/t/US": grpc.unary_stream_rpc_method_handler(_many),
    "/t/SU": grpc.stream_unary_rpc_method_handler(_gathered),
    "/t/SS": grpc.stream_stream_rpc_method_handler(_each),
    "/t/Written": grpc.unary_stream_rpc_method_handler(_written),
}


def edge_of(pki: Pki, **settings: Any) -> Edge:
    """Return an edge where administrators may call everything."""
    return Edge(pki, allows=lambda role, method: role is Role.ADMINISTRATOR, **settings)


async def _all(channel: Any, name: str, request: bytes, timeout: float | None = 20) -> list[bytes]:
    """Make a call of any shape and return its answers."""
    match name:
        case "/t/UU":
            return [await channel.unary_unary(name)(request, timeout=timeout)]
        case "/t/SU":
            return [await channel.stream_unary(name)(iter([request]), timeout=timeout)]
        case "/t/SS":
            return [each async for each in channel.stream_stream(name)(iter([request]), timeout=timeout)]
    return [each async for each in channel.unary_stream(name)(request, timeout=timeout)]


async def _failure(channel: Any, name: str, request: bytes, timeout: float | None = 20) -> aio.AioRpcError:
    with pytest.raises(aio.AioRpcError) as caught:
        await _all(channel, name, request, timeout)
    return caught.value


def _detail(error: aio.AioRpcError, kind: type[Any]) -> Any:
    """Return the one detail of a kind that a status carries, None if there is none."""
    status: Any = rpc_status.from_call(error)  # type: ignore[arg-type]
    found = [detail for detail in status.details if detail.Is(kind.DESCRIPTOR)]
    assert len(found) <= 1
    value = kind()
    return value if found and found[0].Unpack(value) else None


@pytest.mark.parametrize("name", HANDLERS)
async def test_a_servicer_learns_who_calls_in_every_shape(pki: Pki, name: str) -> None:
    async with edge_of(pki).serving(HANDLERS) as edge, edge.dial("alice") as channel:
        assert set(await _all(channel, name, b"")) == {b"administrator/alice"}


async def test_two_callers_at_once_are_not_mixed_up(pki: Pki) -> None:
    pki.issue(Role.ADMINISTRATOR, "bob")
    async with edge_of(pki).serving(HANDLERS) as edge, edge.dial("alice") as one, edge.dial("bob") as two:
        asked = [_all(each, name, b"") for name in HANDLERS for each in (one, two) for _ in range(5)]
        told = await asyncio.gather(*asked)
    flat = [answer for answers in told for answer in answers]
    assert {flat.count(b"administrator/alice"), flat.count(b"administrator/bob")} == {35}


def test_outside_of_a_call_there_is_no_caller() -> None:
    with pytest.raises(LookupError):
        caller()


@pytest.mark.parametrize("name", HANDLERS)
async def test_an_error_of_the_tree_arrives_with_reason_details_and_hint(pki: Pki, name: str) -> None:
    async with edge_of(pki).serving(HANDLERS) as edge, edge.dial("alice") as channel:
        error = await _failure(channel, name, b"unknown")
    assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "no key is called QKM1")
    info = _detail(error, details_pb2.ErrorInfo)
    assert (info.reason, info.domain, dict(info.metadata)) == ("UNKNOWN_KEY", "qekm", {"alias": "QKM1"})
    assert _detail(error, details_pb2.LocalizedMessage).message == UnknownKey.hint
    assert edge.refusals == []


@pytest.mark.parametrize("name", HANDLERS)
async def test_a_foreign_exception_leaves_as_a_number_and_nothing_else(
    pki: Pki, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with edge_of(pki).serving(HANDLERS) as edge, edge.dial("alice") as channel:
        with caplog.at_level(logging.ERROR):
            error = await _failure(channel, name, b"stranger")
    number = _detail(error, details_pb2.ErrorInfo).metadata["incident"]
    assert (error.code(), error.details()) == (grpc.StatusCode.INTERNAL, f"internal error, incident {number}")
    assert "hunter2" not in repr(error) + str(error.trailing_metadata())
    assert number in caplog.text and "hunter2" in caplog.text and "Traceback" in caplog.text
    assert len(number) == 8


@pytest.mark.parametrize("name", HANDLERS)
async def test_the_cancellation_of_something_else_is_no_cancellation_of_the_call(pki: Pki, name: str) -> None:
    async with edge_of(pki).serving(HANDLERS) as edge, edge.dial("alice") as channel:
        error = await _failure(channel, name, b"cancelled")
    assert error.code() is grpc.StatusCode.INTERNAL


async def test_a_caller_who_goes_before_the_error_leaves_is_no_incident(
    pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    came, ended = asyncio.Event(), asyncio.Event()
    links = _Refusing(came)

    async def outlived(requests: AsyncIterator[bytes], context: Any) -> None:
        await links.called("", None)

    async def replicated(requests: Any, context: Any) -> None:
        try:
            await replicate(links, requests, context)
        finally:
            ended.set()

    make = grpc.stream_stream_rpc_method_handler
    handlers: dict[str, Any] = {"/t/Guard": make(outlived), "/t/Replicate": make(replicated)}
    async with edge_of(pki).serving(handlers) as edge, edge.dial("alice") as channel:
        for name in handlers:
            stream: Any = channel.stream_stream(name)()
            await asyncio.wait_for(came.wait(), 20)
            came.clear()
            stream.cancel()
            await asyncio.wait_for(came.wait(), 20)  # it knows, and refuses all the same
            came.clear()
        await asyncio.wait_for(ended.wait(), 20)
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


class _Refusing:
    """Links that refuse a stream once its caller has gone."""

    def __init__(self, came: asyncio.Event) -> None:
        self._came = came

    async def called(self, name: str, pipe: Any) -> None:
        """Wait for the caller's end."""
        this = asyncio.current_task()
        self._came.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            assert this is not None
            this.uncancel()
        self._came.set()
        raise PeerRefused("no server of the estate")


async def test_details_fit_the_kind_of_error(pki: Pki) -> None:
    async with edge_of(pki).serving(HANDLERS) as edge, edge.dial("alice") as channel:
        field, away, failed = [
            await _failure(channel, "/t/UU", each) for each in (b"field", b"away", b"failed")
        ]
    assert _detail(field, details_pb2.BadRequest).field_violations[0].field == "count"
    assert _detail(away, details_pb2.RetryInfo).retry_delay.seconds == 1
    assert _detail(away, details_pb2.BadRequest) is None
    assert (failed.code(), failed.details()) == (grpc.StatusCode.INTERNAL, "a write failed")


async def test_a_status_of_the_servicer_itself_is_left_alone(
    pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    async with edge_of(pki).serving(HANDLERS) as edge, edge.dial("alice") as channel:
        error = await _failure(channel, "/t/UU", b"own")
    assert (error.code(), error.details()) == (grpc.StatusCode.DATA_LOSS, "said by the servicer")
    assert "incident" not in caplog.text


@pytest.mark.parametrize("name", ["/t/UU", "/t/SU"])
async def test_a_call_without_a_deadline_gets_one(
    pki: Pki, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "DEADLINE_S", 0.2)
    async with edge_of(pki).serving(HANDLERS) as edge, edge.dial("alice") as channel:
        error = await _failure(channel, name, b"slow", timeout=None)
        assert _detail(error, details_pb2.ErrorInfo).reason == "SERVICE_AWAY"
        # A timeout of something else is not taken for it, and a client's own deadline is the client's.
        monkeypatch.setattr(answers, "DEADLINE_S", PATIENCE_S)
        inner = await _failure(channel, name, b"timeout", timeout=None)
        assert inner.code() is grpc.StatusCode.INTERNAL
        monkeypatch.setattr(answers, "DEADLINE_S", 0.2)
        own = await _failure(channel, name, b"slow", timeout=0.4)
        assert own.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("name", HANDLERS)
async def test_a_refused_role_is_told_so_and_reported(pki: Pki, name: str) -> None:
    pki.issue(Role.OPERATOR, "olga")
    async with (
        edge_of(pki).serving(HANDLERS) as edge,
        edge.dial("olga") as channel,
        edge.dial("alice") as good,
    ):
        error = await _failure(channel, name, b"")
        assert await _all(good, name, b"")
    info = _detail(error, details_pb2.ErrorInfo)
    assert (error.code(), info.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_ALLOWED")
    assert dict(info.metadata) == {"role": "operator", "method": name}
    [(identity, method, failure, peer)] = edge.refusals
    assert identity is not None and identity.actor == "operator/olga"
    assert (method, failure.reason(), peer.startswith("ipv4:127.0.0.1:")) == (name, "NOT_ALLOWED", True)


async def test_identity_comes_from_one_uri_of_this_estate_and_from_nothing_else(pki: Pki) -> None:
    good = pki.uri()
    other = Pki(pki.home.path.parent / "other")
    odd = {
        "common name only": pki.forge("cn", common_name=good),
        "two identities": pki.forge("two", uris=[good, pki.uri(name="bob")]),
        "another estate": pki.forge("estate", uris=[other.uri()]),
        "a role that does not exist": pki.forge("role", uris=[pki.uri("root")]),
        "upper case": pki.forge("case", uris=[good.replace("administrator", "Administrator")]),
        "another spelling": pki.forge("spelling", uris=[good.replace("alice", "%61lice")]),
        "another scheme": pki.forge("scheme", uris=[good.replace("qekm:", "spiffe:")]),
        "a query": pki.forge("query", uris=[good + "?x"]),
        "no name": pki.forge("noname", uris=[good.removesuffix("alice")]),
        "a longer path": pki.forge("path", uris=[good + "/x"]),
    }
    async with edge_of(pki).serving(HANDLERS) as edge:
        for what, files in odd.items():
            async with edge.dial("alice") as good_channel, edge.dial(files) as channel:
                error = await _failure(channel, "/t/UU", b"")
                reason = _detail(error, details_pb2.ErrorInfo).reason
                assert (what, error.code(), reason) == (
                    what,
                    grpc.StatusCode.UNAUTHENTICATED,
                    "UNKNOWN_IDENTITY",
                )
                assert await _all(good_channel, "/t/UU", b"") == [b"administrator/alice"]
    assert len(edge.refusals) == len(odd)


@pytest.mark.parametrize("name", HANDLERS)
async def test_a_revoked_certificate_is_refused_on_its_open_connection(pki: Pki, name: str) -> None:
    pki.issue(Role.ADMINISTRATOR, "bob")
    async with (
        edge_of(pki).serving(HANDLERS) as edge,
        edge.dial("alice") as channel,
        edge.dial("bob") as good,
    ):
        await _all(channel, name, b"")
        edge.deny.add(pki.serial("alice"))
        error = await _failure(channel, name, b"")
        assert await _all(good, name, b"")
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert _detail(error, details_pb2.ErrorInfo).reason == "REVOKED_IDENTITY"
    assert [(who.name, error.reason()) for who, _, error, _ in edge.refusals if who] == [
        ("alice", "REVOKED_IDENTITY")
    ]


@pytest.mark.parametrize("name", ["/t/US", "/t/SS"])
async def test_revoking_ends_open_streams_at_once_and_only_those(pki: Pki, name: str) -> None:
    pki.issue(Role.ADMINISTRATOR, "bob")
    forever = asyncio.Event()

    async def requests() -> AsyncIterator[bytes]:
        yield b"endless"
        await forever.wait()

    async with edge_of(pki).serving(HANDLERS) as edge, edge.dial("alice") as one, edge.dial("bob") as two:
        streams: list[Any] = [
            channel.unary_stream(name)(b"endless")
            if name == "/t/US"
            else channel.stream_stream(name)(requests())
            for channel in (one, two)
        ]
        for stream in streams:
            assert await stream.read()
        begun = time.monotonic()
        edge.deny.add(pki.serial("alice"))
        with pytest.raises(aio.AioRpcError) as caught:
            await streams[0].read()
        assert time.monotonic() - begun < 5
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert not streams[1].done()
        forever.set()
        streams[1].cancel()


async def test_a_client_that_reads_nothing_does_not_keep_a_revoked_stream(pki: Pki) -> None:
    ended = asyncio.Event()

    async def flood(request: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            while True:
                yield bytes(1 << 20)
        finally:
            ended.set()

    handlers: dict[str, Any] = {"/t/US": grpc.unary_stream_rpc_method_handler(flood)}
    async with edge_of(pki).serving(handlers) as edge, edge.dial("alice") as channel:
        stream: Any = channel.unary_stream("/t/US")(b"")
        await stream.read()
        await asyncio.sleep(0.3)
        edge.deny.add(pki.serial("alice"))
        await asyncio.wait_for(ended.wait(), PATIENCE_S)
        stream.cancel()


async def test_who_gives_up_the_own_certificate_gets_the_answer(pki: Pki) -> None:
    edge = edge_of(pki)

    async def give_up(request: bytes, context: Any) -> bytes:
        edge.deny.add(caller().serial)
        await asyncio.sleep(0)
        return b"done"

    handlers: dict[str, Any] = {"/t/UU": grpc.unary_unary_rpc_method_handler(give_up)}
    async with edge.serving(handlers), edge.dial("alice") as channel:
        assert await _all(channel, "/t/UU", b"") == [b"done"]
        assert (await _failure(channel, "/t/UU", b"")).code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_certificate_that_ends_is_refused_on_its_open_connection(pki: Pki) -> None:
    shift = [0]
    edge = edge_of(pki, now_us=lambda: now_us() + shift[0])
    async with edge.serving(HANDLERS), edge.dial("alice") as channel:
        assert await _all(channel, "/t/UU", b"")
        shift[0] = 11 * DAY_US
        assert (await _failure(channel, "/t/UU", b"")).code() is grpc.StatusCode.UNAUTHENTICATED
        shift[0] = -DAY_US
        assert (await _failure(channel, "/t/UU", b"")).code() is grpc.StatusCode.UNAUTHENTICATED
        shift[0] = 0
        assert await _all(channel, "/t/UU", b"")


async def test_a_stream_ends_when_its_certificate_does(pki: Pki) -> None:
    # The guard's clock is so far ahead that half a second is left.
    ahead = 10 * DAY_US - 1_500_000
    pki.issue(Role.ADMINISTRATOR, "short")
    edge = edge_of(pki, now_us=lambda: now_us() + ahead)
    async with edge.serving(HANDLERS), edge.dial("short") as channel:
        begun = time.monotonic()
        error = await _failure(channel, "/t/US", b"endless")
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert time.monotonic() - begun < 10


async def test_a_client_that_goes_leaves_no_call_behind(pki: Pki) -> None:
    seen: list[str] = []

    async def wait(request: bytes, context: Any) -> bytes:
        seen.append("begun")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return b""

    edge = edge_of(pki)
    handlers: dict[str, Any] = {"/t/UU": grpc.unary_unary_rpc_method_handler(wait)}
    async with edge.serving(handlers), edge.dial("alice") as channel:
        made: Any = channel.unary_unary("/t/UU")(b"")
        await until(lambda: seen)
        made.cancel()
        await until(lambda: len(seen) == 2)
        edge.deny.add(pki.serial("alice"))  # finds nothing to end
    assert seen == ["begun", "cancelled"]


async def test_a_refusal_that_cannot_be_recorded_is_a_refusal_all_the_same(
    pki: Pki, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Edge):
        def _refuse(self, *refusal: Any) -> None:
            raise OSError("disk full")

    pki.issue(Role.AUDITOR, "ulf")
    edge = Broken(pki)
    async with edge.serving(), edge.dial("ulf") as channel:
        error = await _failure(channel, "/qekm.v1.ServerService/StopServer", b"")
    assert error.code() is not None
    assert "could not be recorded" in caplog.text


@pytest.mark.parametrize(
    ("who", "method"),
    [
        ("administrator", "KeystoreService/GetKey"),
        ("administrator", "KeystoreService/GenerateKeys"),
        ("gateway", "ServingService/Serve"),
    ],
)
async def test_what_is_no_message_is_answered_as_such(pki: Pki, who: str, method: str) -> None:
    handlers = empty_handlers()
    serve = "/qekm.v1.ServingService/Serve"

    async def read_all(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            yield request

    handlers[serve] = grpc.stream_stream_rpc_method_handler(read_all, handlers[serve].request_deserializer)
    name = f"/qekm.v1.{method}"
    async with Edge(pki).serving(handlers) as edge, edge.dial(who) as channel:
        raw = getattr(channel, shape(contract()[name]))(name)
        made = raw(iter([b"\xff\xff"]) if who == "gateway" else b"\xff\xff", timeout=20)
        with pytest.raises(aio.AioRpcError) as caught:
            await (made.read() if hasattr(made, "read") else made)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert _detail(caught.value, details_pb2.ErrorInfo).reason == "BAD_ARGUMENT"


async def test_what_a_stranger_sends_is_not_even_read(pki: Pki) -> None:
    pki.issue(Role.OPERATOR, "olga")
    seen: list[bytes] = []
    handlers: dict[str, Any] = {"/t/UU": grpc.unary_unary_rpc_method_handler(_once, seen.append)}
    async with edge_of(pki).serving(handlers) as edge, edge.dial("olga") as channel:
        await _failure(channel, "/t/UU", b"")
    assert seen == []


@pytest.mark.parametrize(("who", "allowed"), [("auditor", True), ("gateway", False)])
async def test_reflection_is_for_people(pki: Pki, who: str, allowed: bool) -> None:
    pki.issue(Role.AUDITOR, "auditor")

    def register(server: aio.Server) -> None:
        reflection.enable_server_reflection(("qekm.v1.ServerService",), server)

    async with Edge(pki).serving(register=register) as edge, edge.dial(who) as channel:
        asked = iter([ServerReflectionRequest(list_services="")])
        stub: Any = ServerReflectionStub(channel)
        stream = stub.ServerReflectionInfo(asked, timeout=20)
        try:
            told = [service.name async for each in stream for service in each.list_services_response.service]
        except aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.PERMISSION_DENIED
            told = []
    assert bool(told) is allowed


async def test_nothing_is_kept_of_calls_that_are_over(pki: Pki) -> None:
    def kept() -> int:
        gc.collect()
        return sum(type(each).__name__ == "_Call" for each in gc.get_objects())

    before = kept()
    async with edge_of(pki).serving(HANDLERS) as edge, edge.dial("alice") as channel:
        for name in HANDLERS:
            await _all(channel, name, b"")
            await _failure(channel, name, b"stranger")
        assert kept() == before


def test_a_blocking_client_is_served_like_any_other(pki: Pki) -> None:
    """The guard does not depend on the client being ours or asynchronous."""
    trust = pki.home.trust.read_bytes()
    key, chain = pki.home.key("alice").read_bytes(), pki.home.certificate("alice").read_bytes()
    credentials = grpc.ssl_channel_credentials(trust, key, chain)
    with (
        edge_of(pki).serving_aside(HANDLERS) as edge,
        grpc.secure_channel(f"127.0.0.1:{edge.port}", credentials) as channel,
    ):
        ask: Any = channel.unary_unary("/t/UU")
        assert ask(b"", timeout=20) == b"administrator/alice"
        many: Any = channel.unary_stream("/t/US")
        answers: Iterator[bytes] = many(b"", timeout=20)
        assert list(answers) == [b"administrator/alice"] * 2


async def test_a_certificate_out_of_its_time_names_the_services_time_and_what_to_do(pki: Pki) -> None:
    passport = read_passport(pki.home.certificate("alice").read_bytes())
    for time_us in (passport.start_us - DAY_US, passport.end_us):
        entry = Entry(
            Accounts((), lambda: 0, lambda: 0.0), Sessions(pki.estate, lambda: 1, lambda: 0.0, bytes)
        )
        admission = guard.Guard(
            *(DenyList([]), pki.estate, lambda now=time_us: now, lambda *_: None, entry),
            *(lambda *_: True, False),
        )
        with pytest.raises(RevokedIdentity) as caught:
            admission._admit(passport, "/qekm.v1.ServerService/GetVersion")
        told = datetime.fromtimestamp(time_us // 1_000_000, UTC)
        assert caught.value.message.endswith(f"the service's time is {told:%Y-%m-%dT%H:%M:%SZ}")
        assert "qekm certificates renew" in caught.value.advice
        assert "qekm-server renew" in caught.value.advice
