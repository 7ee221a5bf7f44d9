"""Sessions of clients, against a server that wants one: asked for once, sent with each call, replaced."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import aio

from qekm.client import connect, connect_async
from qekm.errors import BadPassword, PasswordNeeded, UnknownKey
from qekm.model import Role
from qekm.rpc.sessions import METADATA_KEY
from qekm.v1.accounts_pb2 import GetSessionResponse, LoginResponse
from qekm.v1.accounts_pb2_grpc import AccountsServiceServicer, add_AccountsServiceServicer_to_server
from qekm.v1.audit_pb2 import VerifyTrailRequest, VerifyTrailResponse
from qekm.v1.audit_pb2_grpc import AuditServiceServicer, add_AuditServiceServicer_to_server
from qekm.v1.keystore_pb2 import GetKeyRequest, GetKeyResponse, Key
from qekm.v1.keystore_pb2_grpc import KeystoreServiceServicer, add_KeystoreServiceServicer_to_server
from qekm.v1.sharing_pb2 import ImportKeysRequest, ImportKeysResponse
from qekm.v1.sharing_pb2_grpc import SharingServiceServicer, add_SharingServiceServicer_to_server
from tests.fakes.edge import Edge
from tests.fakes.pki import Pki

END = 1_800_000_000
RIGHT = b"correct horse"


class Door:
    """Which sessions are good, what was asked, and whether somebody has an account at all."""

    def __init__(self) -> None:
        self.sessions: set[bytes] = set()
        self.logins: list[bytes] = []
        self.methods: list[str] = []
        self.open = False

    def check(self, method: str, context: Any) -> None:
        """Let nobody in without a good session."""
        self.methods.append(method)
        told = dict(context.invocation_metadata()).get(METADATA_KEY)
        if not self.open and told not in self.sessions:
            raise PasswordNeeded("administrator/administrator has a command password")

    def log_in(self, password: bytes) -> bytes:
        """Give a session for the right password."""
        self.logins.append(password)
        if password != RIGHT:
            raise BadPassword("this is not the command password")
        self.sessions.add(session := os.urandom(32))
        return session


class Accounts(AccountsServiceServicer):
    """Login and GetSession; the rest is nobody's here."""

    def __init__(self, door: Door) -> None:
        self.door = door

    async def Login(self, request: Any, context: Any) -> LoginResponse:
        return LoginResponse(
            session=self.door.log_in(request.password), expire_time=Timestamp(seconds=END, nanos=5_000)
        )

    async def GetSession(self, request: Any, context: Any) -> GetSessionResponse:
        self.door.check("GetSession", context)
        return GetSessionResponse(actor="administrator/administrator", account=not self.door.open)

    Logout = ListAccounts = CreateAccount = UpdateOwnPassword = Login  # type: ignore[assignment]
    ResetPassword = UnlockAccount = DeleteAccount = Login  # type: ignore[assignment]


class Keystore(KeystoreServiceServicer):
    """Gets keys."""

    def __init__(self, door: Door) -> None:
        self.door = door

    async def GetKey(self, request: Any, context: Any) -> GetKeyResponse:
        self.door.check("GetKey", context)
        if request.alias == "none":
            raise UnknownKey("there is no such key")
        return GetKeyResponse(key=Key(alias=request.alias))

    GetKeystore = ListKeys = ListCartridges = GenerateKeys = AuditServiceServicer.ListRecords  # type: ignore[assignment]


class Audit(AuditServiceServicer):
    """Answers twice."""

    def __init__(self, door: Door) -> None:
        self.door = door

    async def VerifyTrail(self, request: Any, context: Any) -> AsyncIterator[VerifyTrailResponse]:
        self.door.check("VerifyTrail", context)
        yield VerifyTrailResponse(checked=1)
        yield VerifyTrailResponse(checked=2)

    ListRecords = AuditServiceServicer.ListRecords


class Sharing(SharingServiceServicer):
    """Counts the parts that it is sent."""

    def __init__(self, door: Door) -> None:
        self.door = door

    async def ImportKeys(self, requests: Any, context: Any) -> ImportKeysResponse:
        self.door.check("ImportKeys", context)
        return ImportKeysResponse(sender=f"{len([each async for each in requests])} parts")

    ExportKeys = GetCertificates = ListPartners = AuditServiceServicer.ListRecords  # type: ignore[assignment]
    CreatePartner = DeletePartner = AuditServiceServicer.ListRecords  # type: ignore[assignment]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Edge, Door]]:
    """Give a server that runs as long as the module's tests."""
    door, pki = Door(), Pki(Path(tmp_path_factory.mktemp("sessions") / "home"))

    def register(server: aio.Server) -> None:
        add_AccountsServiceServicer_to_server(Accounts(door), server)
        add_KeystoreServiceServicer_to_server(Keystore(door), server)
        add_AuditServiceServicer_to_server(Audit(door), server)
        add_SharingServiceServicer_to_server(Sharing(door), server)

    edge = Edge(pki, allows=lambda role, method: role is Role.ADMINISTRATOR)
    with edge.serving_aside({}, register):
        yield edge, door


@pytest.fixture
def door(served: tuple[Edge, Door]) -> Door:
    """Give the door as new."""
    served[1].__init__()  # type: ignore[misc]
    return served[1]


class Person:
    """Knows a password, counts how often it is asked for it, and keeps what it is told."""

    def __init__(self, *words: str | bytes) -> None:
        self.words, self.asked = words, 0
        self.kept: list[tuple[bytes, int]] = []

    def password(self) -> str | bytes:
        """Tell the next of the words, and the last one from then on."""
        self.asked += 1
        return self.words[min(self.asked, len(self.words)) - 1]

    def keep(self, session: bytes, expire_us: int) -> None:
        """Keep what is told."""
        self.kept.append((session, expire_us))


class Asked:
    """What a blocking and an asyncio client have alike: one call of each shape."""

    def __init__(self, edge: Edge, is_async: bool) -> None:
        self.edge, self.is_async = edge, is_async

    def __call__(self, *acts: str, **proof: Any) -> list[Any]:
        """Make calls with one client, and return their answers."""
        if self.is_async:
            return asyncio.run(self._async(acts, proof))
        with connect(self.edge.pki.home.path, self.edge.target, **proof) as client:
            return [self._call(client, act) for act in acts]

    def _call(self, client: Any, act: str) -> Any:
        if act == "stream":
            return [answer.checked for answer in client.audit.VerifyTrail(VerifyTrailRequest())]
        if act == "upload":
            return client.sharing.ImportKeys(iter([ImportKeysRequest()] * 3)).sender
        return client.keystore.GetKey(GetKeyRequest(alias=act)).key.alias

    async def _async(self, acts: tuple[str, ...], proof: dict[str, Any]) -> list[Any]:
        answers: list[Any] = []
        async with connect_async(self.edge.pki.home.path, self.edge.target, **proof) as client:
            for act in acts:
                if act == "stream":
                    told = [each.checked async for each in client.audit.VerifyTrail(VerifyTrailRequest())]
                    answers.append(told)
                elif act == "upload":
                    answers.append((await client.sharing.ImportKeys(iter([ImportKeysRequest()] * 3))).sender)
                else:
                    answers.append((await client.keystore.GetKey(GetKeyRequest(alias=act))).key.alias)
        return answers


@pytest.fixture(params=[False, True], ids=["blocking", "asyncio"])
def ask(served: tuple[Edge, Door], request: pytest.FixtureRequest) -> Asked:
    """Give what makes calls with either kind of client."""
    return Asked(served[0], request.param)


def test_the_password_is_asked_for_once_and_its_session_goes_with_every_call(ask: Asked, door: Door) -> None:
    person = Person("correct horse")
    answers = ask("QKM1", "stream", "upload", "QKM2", password=person.password, keep=person.keep)
    assert answers == ["QKM1", [1, 2], "3 parts", "QKM2"]
    assert (person.asked, door.logins) == (1, [RIGHT])
    assert person.kept == [(*door.sessions, END * 1_000_000 + 5)]


@pytest.mark.parametrize(("act", "answer"), [("stream", [1, 2]), ("upload", "3 parts")])
def test_a_stream_finds_its_session_before_it_begins(
    ask: Asked, door: Door, act: str, answer: object
) -> None:
    assert ask(act, password=Person(RIGHT).password) == [answer]
    assert door.methods.count("VerifyTrail" if act == "stream" else "ImportKeys") == 1


def test_a_session_from_before_is_used_and_nothing_is_asked(ask: Asked, door: Door) -> None:
    person, session = Person(RIGHT), door.log_in(RIGHT)
    assert ask("QKM1", "stream", "upload", session=session, password=person.password, keep=person.keep)
    assert ask("QKM1", "stream", "upload", session=session)
    assert (person.asked, person.kept) == (0, [])


def test_a_session_that_is_refused_is_told_and_replaced(ask: Asked, door: Door) -> None:
    person = Person(RIGHT)
    assert ask("QKM1", session=bytes(32), password=person.password, keep=person.keep) == ["QKM1"]
    assert person.kept == [(b"", 0), (*door.sessions, END * 1_000_000 + 5)]
    person = Person(RIGHT)
    with pytest.raises(PasswordNeeded):
        ask("QKM1", session=bytes(32), keep=person.keep)
    assert person.kept == [(b"", 0)]


@pytest.mark.parametrize("act", ["QKM1", "stream", "upload"])
def test_a_wrong_password_is_tried_once_and_the_call_is_not_made(ask: Asked, door: Door, act: str) -> None:
    person = Person("wrong horse", "correct horse")
    with pytest.raises(BadPassword):
        ask(act, password=person.password, keep=person.keep)
    assert (door.logins, person.kept) == ([b"wrong horse"], [])
    assert {"VerifyTrail", "ImportKeys"}.isdisjoint(door.methods)


@pytest.mark.parametrize("act", ["QKM1", "stream", "upload"])
def test_without_a_source_the_want_of_a_password_is_the_error(ask: Asked, door: Door, act: str) -> None:
    with pytest.raises(PasswordNeeded) as caught:
        ask(act)
    assert caught.value.advice == PasswordNeeded.hint
    if ask.is_async and act == "upload":  # begun, it may be cut off without a word of why
        assert door.methods == ["GetSession"]


def test_what_the_source_raises_is_what_the_caller_gets(ask: Asked, door: Door) -> None:
    def nobody() -> str:
        raise EOFError("nobody is there")

    with pytest.raises(EOFError, match="nobody is there"):
        ask("QKM1", password=nobody)


def test_where_no_password_is_wanted_none_is_asked_for(ask: Asked, door: Door) -> None:
    door.open, person = True, Person("wrong horse")
    assert ask("QKM1", "stream", "upload", password=person.password) == ["QKM1", [1, 2], "3 parts"]
    assert person.asked == 0
    with pytest.raises(UnknownKey):
        ask("none", password=person.password)


def test_a_session_that_ends_between_two_calls_is_replaced(served: tuple[Edge, Door], door: Door) -> None:
    person = Person(RIGHT)
    with connect(served[0].pki.home.path, served[0].target, password=person.password) as client:
        assert client.keystore.GetKey(GetKeyRequest(alias="QKM1")).key.alias == "QKM1"
        door.sessions.clear()
        assert client.keystore.GetKey.future(GetKeyRequest(alias="QKM2")).result().key.alias == "QKM2"
    assert person.asked == 2


def _at_once(count: int, act: Callable[[], Any]) -> None:
    threads = [threading.Thread(target=act) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_threads_and_tasks_that_want_a_session_at_once_ask_once(
    served: tuple[Edge, Door], door: Door
) -> None:
    person, where = Person(RIGHT), (served[0].pki.home.path, served[0].target)
    with connect(*where, password=person.password) as client:
        _at_once(8, lambda: client.keystore.GetKey(GetKeyRequest(alias="QKM1")))
    assert (person.asked, door.methods.count("GetKey") >= 8) == (1, True)

    async def tasks() -> None:
        async with connect_async(*where, password=person.password) as client:
            calls = (client.keystore.GetKey(GetKeyRequest(alias="QKM1")) for _ in range(8))
            await asyncio.gather(*calls)

    asyncio.run(tasks())
    assert person.asked == 2
