"""Who needs a session: every method of the contract, every role, on both listeners."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from qekm.accounts import Accounts
from qekm.api.authority import RULES
from qekm.api.entry import PROOFS, SERVE, VERSION, Entry
from qekm.errors import NotAllowed, PasswordNeeded, QekmError, RevokedIdentity
from qekm.model import Account, Role
from qekm.rpc.identity import Identity
from qekm.rpc.sessions import METADATA_KEY
from qekm.rpc.status import from_rpc_error
from qekm.sessions import Sessions
from qekm.v1.keystore_pb2 import ListKeysRequest
from tests.fakes.edge import Edge, call, contract
from tests.fakes.pki import Pki, now_us

METHODS = contract()
PERSONS = ("administrator/alice", "operator/alice", "auditor/alice", "custodian/alice")


class Door:
    """An entry, and who has an account."""

    def __init__(self, estate: bytes, *actors: str, gateways: bool = False) -> None:
        self.steady = 0.0
        self.accounts = Accounts([Account(actor, b"v", 1, 1) for actor in actors], now_us, lambda: 0.0)
        self.sessions = Sessions(estate, lambda: 15, lambda: self.steady, os.urandom)
        self.entry = Entry(self.accounts, self.sessions, gateways)

    def lets_in(self, actor: str, method: str, session: bytes = b"", *, remote: bool = False) -> bool:
        """Tell whether a call may be made."""
        role, _, name = actor.partition("/")
        try:
            self.entry.check(Identity(Role[role.upper()], name, "aa"), method, session, remote=remote)
        except PasswordNeeded as error:
            assert error.details == {"account": actor}
            return False
        except NotAllowed as error:
            assert error.details == {"role": role, "method": method}
            return False
        return True


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize("actor", PERSONS)
def test_every_method_needs_the_session_of_who_has_a_password_but_those_listed(
    actor: str, remote: bool
) -> None:
    door = Door(bytes(16), actor)
    session = door.sessions.open(actor, "aa")
    without = {method for method in RULES if door.lets_in(actor, method, remote=remote)}
    assert (
        without
        == {VERSION, *PROOFS}
        == {
            "/qekm.v1.ServerService/GetVersion",
            "/qekm.v1.AccountsService/Login",
            "/qekm.v1.AccountsService/UpdateOwnPassword",
        }
    )
    assert all(door.lets_in(actor, method, session, remote=remote) for method in RULES)
    assert not door.lets_in(actor, "/qekm.v1.AuditService/ListRecords", os.urandom(32), remote=remote)


@pytest.mark.parametrize("actor", PERSONS)
def test_without_a_password_a_certificate_is_enough_here_and_from_afar_for_nothing(actor: str) -> None:
    door = Door(bytes(16))
    assert all(door.lets_in(actor, method) for method in RULES)
    assert {method for method in RULES if door.lets_in(actor, method, remote=True)} == {VERSION}
    with pytest.raises(PasswordNeeded) as caught:
        door.entry.check(
            Identity(Role.AUDITOR, "a", "aa"), "/qekm.v1.AuditService/ListRecords", b"", remote=True
        )
    assert "on the service's own machine" in caught.value.advice


@pytest.mark.parametrize("actor", ["gateway/gateway", "server/server"])
def test_machines_need_none_and_from_afar_get_a_certificate_or_are_peers(actor: str) -> None:
    door = Door(bytes(16), *PERSONS)
    assert all(door.lets_in(actor, method) for method in RULES)
    assert {method for method in RULES if door.lets_in(actor, method, remote=True)} == {
        VERSION,
        "/qekm.v1.CertificatesService/GetTrust",
        "/qekm.v1.CertificatesService/RenewCertificate",
        "/qekm.v1.PeersService/JoinEstate",
        "/qekm.v1.PeersService/Replicate",
    }


def test_a_gateway_serves_drives_from_afar_only_where_a_property_says_so() -> None:
    closed, opened = Door(bytes(16)), Door(bytes(16), gateways=True)
    assert not closed.lets_in("gateway/gateway", SERVE, remote=True)
    assert opened.lets_in("gateway/gateway", SERVE, remote=True)
    more = {method for method in RULES if opened.lets_in("gateway/gateway", method, remote=True)}
    assert more - {method for method in RULES if closed.lets_in("gateway/gateway", method, remote=True)} == {
        SERVE
    }
    with pytest.raises(NotAllowed) as caught:
        closed.entry.check(Identity(Role.GATEWAY, "a", "aa"), SERVE, b"", remote=True)
    assert "TransportListener.ssl.gateways=on" in caught.value.advice


def test_a_session_of_one_role_is_none_for_another_role_of_the_same_name() -> None:
    door = Door(bytes(16), *PERSONS)
    for opener in PERSONS:
        session = door.sessions.open(opener, "aa")
        for user in PERSONS:
            allowed = door.lets_in(user, "/qekm.v1.KeystoreService/ListKeys", session)
            assert allowed == (user == opener)


# The same on a server, with certificates.


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Return an estate with one name in two roles, and another name."""
    made = Pki(tmp_path_factory.mktemp("estate") / "home")
    made.issue(Role.OPERATOR, "alice")
    for suffix in ("pem", "key"):
        shutil.copy(made.home.pki / f"alice.{suffix}", made.home.pki / f"operator-alice.{suffix}")
    made.issue(Role.ADMINISTRATOR, "bob")
    made.issue(Role.ADMINISTRATOR, "alice")
    return made


async def refusal(channel: Any, name: str, *sessions: bytes) -> QekmError | None:
    """Make a call with an empty message; return how it was refused."""
    method = METHODS[name]
    empty = GetMessageClass(method.input_type)()
    metadata = tuple((METADATA_KEY, session) for session in sessions)
    begun = call(channel, name, method)(
        iter([empty]) if method.client_streaming else empty, metadata=metadata, timeout=20
    )
    try:
        await (begun.read() if method.server_streaming else begun)
        return None
    except aio.AioRpcError as error:
        return from_rpc_error(error, "")


async def test_each_method_of_the_contract_is_guarded_on_a_server(pki: Pki) -> None:
    door = Door(pki.estate, "administrator/alice")
    session = door.sessions.open("administrator/alice", "aa")
    mine = [name for name in METHODS if Role.ADMINISTRATOR in RULES[name]]
    async with Edge(pki, entry=door.entry).serving() as edge, edge.dial("alice") as channel:
        for name in mine:
            refused = await refusal(channel, name)
            assert (refused is None) == (name in {VERSION, *PROOFS}), name
            assert refused is None or isinstance(refused, PasswordNeeded), name
            assert await refusal(channel, name, session) is None, name
    assert len(mine) > 50
    assert edge.refusals == []  # every client without a session meets one first


async def test_a_stolen_session_is_worth_nothing_with_another_certificate(pki: Pki) -> None:
    name = "/qekm.v1.KeystoreService/ListKeys"
    door = Door(pki.estate, "administrator/alice", "administrator/bob", "operator/alice")
    session = door.sessions.open("administrator/alice", "aa")
    other = Pki(pki.home.path.parent / "other")
    other.issue(Role.ADMINISTRATOR, "alice")
    async with Edge(pki, entry=door.entry).serving() as edge:
        for thief in ("bob", "operator-alice"):
            async with edge.dial(thief) as channel:
                assert isinstance(await refusal(channel, name, session), PasswordNeeded)
                assert edge.refusals.pop()[2].reason() == "PASSWORD_NEEDED"
                # Not even beside one of his own: the first that is sent counts.
                own = door.sessions.open("operator/alice" if "-" in thief else "administrator/bob", "bb")
                assert isinstance(await refusal(channel, name, session, own), PasswordNeeded)
                assert await refusal(channel, name, own) is None
        async with edge.dial(replace(other.files("alice"), trust=pki.home.trust)) as channel:
            assert not isinstance(await refusal(channel, name, session), PasswordNeeded | None)
        async with edge.dial("alice") as channel:
            assert await refusal(channel, name, session) is None


async def test_from_afar_a_certificate_alone_opens_nothing(pki: Pki) -> None:
    door = Door(pki.estate, "administrator/alice")
    async with Edge(pki, entry=door.entry, remote=True).serving() as edge, edge.dial("bob") as channel:
        for name in METHODS:
            if Role.ADMINISTRATOR in RULES[name]:
                refused = await refusal(channel, name)
                assert (refused is None) == (name == VERSION), name
                assert refused is None or isinstance(refused, PasswordNeeded)
                if refused:
                    identity, method, told, _ = edge.refusals.pop()
                    assert identity and identity.actor == "administrator/bob"
                    assert (method, told.message) == (name, refused.message)
        assert edge.refusals == []


async def test_who_probes_without_a_good_session_is_recorded_but_for_what_everybody_does_here_first(
    pki: Pki,
) -> None:
    name = "/qekm.v1.KeystoreService/ListKeys"
    door = Door(pki.estate, "administrator/alice")
    ended = door.sessions.open("administrator/alice", "aa")
    door.steady = 15 * 60.0
    for remote in (False, True):
        async with (
            Edge(pki, entry=door.entry, remote=remote).serving() as edge,
            edge.dial("alice") as channel,
        ):
            for sessions in ((), (os.urandom(32),), (ended,)):
                assert isinstance(await refusal(channel, name, *sessions), PasswordNeeded)
                told = [(who and who.actor, method) for who, method, _, _ in edge.refusals]
                assert told == ([("administrator/alice", name)] if sessions or remote else [])
                edge.refusals.clear()


@pytest.mark.parametrize("odd", [b"", b"\0" * 32, b"x" * 4_000, "text"])
async def test_what_is_no_session_is_none(pki: Pki, odd: bytes | str) -> None:
    door = Door(pki.estate, "administrator/alice")
    key = METADATA_KEY if isinstance(odd, bytes) else METADATA_KEY.removesuffix("-bin")
    async with Edge(pki, entry=door.entry).serving() as edge, edge.dial("alice") as channel:
        list_ = call(
            channel, "/qekm.v1.KeystoreService/ListKeys", METHODS["/qekm.v1.KeystoreService/ListKeys"]
        )
        with pytest.raises(aio.AioRpcError) as caught:
            await list_(ListKeysRequest(), metadata=((key, odd),), timeout=20)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_call_under_way_ends_with_its_session_and_is_not_to_be_made_again(pki: Pki) -> None:
    door = Door(pki.estate, "administrator/alice")
    first, second = (door.sessions.open("administrator/alice", "aa") for _ in range(2))
    begun, ended = asyncio.Event(), list[str]()

    async def slow(request: bytes, context: Any) -> bytes:
        begun.set()
        await asyncio.sleep(60)
        return b""

    handlers: dict[str, Any] = {"/t/UU": grpc.unary_unary_rpc_method_handler(slow)}
    edge = Edge(pki, entry=door.entry, allows=lambda role, method: True)
    async with edge.serving(handlers), edge.dial("alice") as channel:
        for session in (first, second):
            begun.clear()
            made = channel.unary_unary("/t/UU")(b"", metadata=((METADATA_KEY, session),), timeout=20)
            await begun.wait()
            door.sessions.end("administrator/alice", first)
            if session == first:
                with pytest.raises(aio.AioRpcError) as caught:
                    await made
                ended.append(type(from_rpc_error(caught.value, "")).__name__)
            else:
                assert not made.done()
                made.cancel()
    assert ended == [RevokedIdentity.__name__]


@pytest.mark.parametrize("name", ["/t/UU", "/t/US", "/t/SU"])
async def test_a_stream_ends_when_the_time_of_its_session_is_over_and_one_answer_is_still_given(
    pki: Pki, name: str
) -> None:
    door = Door(pki.estate, "administrator/alice")
    session = door.sessions.open("administrator/alice", "aa")
    door.steady = 15 * 60 - 0.3

    async def once(request: Any, context: Any) -> bytes:
        await asyncio.sleep(1)
        return b"."

    async def many(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield await once(request, context)

    handlers: dict[str, Any] = {
        "/t/UU": grpc.unary_unary_rpc_method_handler(once),
        "/t/US": grpc.unary_stream_rpc_method_handler(many),
        "/t/SU": grpc.stream_unary_rpc_method_handler(once),
    }
    edge = Edge(pki, entry=door.entry, allows=lambda role, method: True)
    async with edge.serving(handlers), edge.dial("alice") as channel:
        told: dict[str, Any] = {"metadata": ((METADATA_KEY, session),), "timeout": 20}
        match name:
            case "/t/UU":
                assert await channel.unary_unary(name)(b"", **told) == b"."
                return
            case "/t/US":
                answer = channel.unary_stream(name)(b"", **told).read()
            case _:
                answer = channel.stream_unary(name)(iter([b""]), **told)
        with pytest.raises(aio.AioRpcError) as caught:
            await answer
    error = from_rpc_error(caught.value, "")
    assert isinstance(error, RevokedIdentity)
    assert error.message == "the session of administrator/alice has ended"
