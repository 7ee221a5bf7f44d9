"""The client against a real server: three lines, typed errors, both kinds of channel."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import aio

from qekm.client import connect, connect_async
from qekm.errors import (
    BadConfiguration,
    BadFile,
    Incident,
    NotAllowed,
    NotInitialised,
    ServiceAway,
    UnknownIdentity,
    UnknownKey,
)
from qekm.model import Role
from qekm.v1.audit_pb2 import VerifyTrailRequest, VerifyTrailResponse
from qekm.v1.audit_pb2_grpc import AuditServiceServicer, add_AuditServiceServicer_to_server
from qekm.v1.keystore_pb2 import GetKeyRequest, GetKeyResponse, Key
from qekm.v1.keystore_pb2_grpc import KeystoreServiceServicer, add_KeystoreServiceServicer_to_server
from qekm.v1.server_pb2 import GetVersionRequest, StopServerRequest
from qekm.v1.sharing_pb2 import ImportKeysRequest, ImportKeysResponse
from qekm.v1.sharing_pb2_grpc import SharingServiceServicer, add_SharingServiceServicer_to_server
from tests.fakes.edge import Edge
from tests.fakes.pki import Pki


class Keystore(KeystoreServiceServicer):
    """Knows one key; sleeps, breaks or is long on request."""

    async def GetKey(self, request: Any, context: Any) -> GetKeyResponse:
        if request.alias == "slow":
            await asyncio.sleep(60)
        if request.alias == "broken":
            raise RuntimeError("boom")
        if request.alias != "QKM1":
            raise UnknownKey(f"no key is called {request.alias}", alias=request.alias)
        return GetKeyResponse(key=Key(alias="QKM1"))

    GetKeystore = ListKeys = ListCartridges = GenerateKeys = AuditServiceServicer.ListRecords  # type: ignore[assignment]


class Audit(AuditServiceServicer):
    """Tells of progress, and fails after the second message."""

    async def VerifyTrail(self, request: Any, context: Any) -> AsyncIterator[VerifyTrailResponse]:
        yield VerifyTrailResponse(checked=1)
        yield VerifyTrailResponse(checked=2)
        raise UnknownKey("of all things")

    ListRecords = AuditServiceServicer.ListRecords


class Sharing(SharingServiceServicer):
    """Tells how many parts it was sent, unless one of them is no text that it takes."""

    async def ImportKeys(self, requests: Any, context: Any) -> ImportKeysResponse:
        count = 0
        async for request in requests:
            count += 1
            if request.source == "refused":
                raise BadFile("of all things")
        return ImportKeysResponse(sender=f"{count} parts")

    ExportKeys = GetCertificates = ListPartners = AuditServiceServicer.ListRecords  # type: ignore[assignment]
    CreatePartner = DeletePartner = AuditServiceServicer.ListRecords  # type: ignore[assignment]


def _register(server: aio.Server) -> None:
    add_SharingServiceServicer_to_server(Sharing(), server)
    add_KeystoreServiceServicer_to_server(Keystore(), server)
    add_AuditServiceServicer_to_server(Audit(), server)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Return a server that runs as long as the module's tests."""
    pki = Pki(Path(tmp_path_factory.mktemp("client") / "home"))
    pki.issue(Role.OPERATOR, "olga")
    with Edge(pki).serving_aside(register=_register) as each:
        yield each


def test_three_lines_talk_to_the_service(edge: Edge) -> None:
    with connect(edge.pki.home.path, edge.target) as qekm:
        assert qekm.keystore.GetKey(GetKeyRequest(alias="QKM1")).key.alias == "QKM1"


async def test_three_lines_talk_to_the_service_from_a_loop(edge: Edge) -> None:
    async with connect_async(edge.pki.home.path, edge.target) as qekm:
        assert (await qekm.keystore.GetKey(GetKeyRequest(alias="QKM1"))).key.alias == "QKM1"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_the_services_name_is_checked_and_fits_the_loopback(edge: Edge, host: str) -> None:
    with connect(edge.pki.home.path, f"{host}:{edge.port}") as qekm:
        qekm.server.GetVersion(GetVersionRequest())


async def test_an_address_that_the_certificate_does_not_name_is_refused(edge: Edge) -> None:
    async with Edge(edge.pki, host="127.0.0.2").serving() as elsewhere:
        target = f"127.0.0.2:{elsewhere.port}"
        async with connect_async(edge.pki.home.path, target, deadline_s=5) as qekm:
            with pytest.raises(ServiceAway, match="names other hosts"):
                await qekm.server.GetVersion(GetVersionRequest())


def test_errors_are_leaves_of_our_tree(edge: Edge) -> None:
    with connect(edge.pki.home.path, edge.target) as qekm:
        with pytest.raises(UnknownKey) as unknown:
            qekm.keystore.GetKey(GetKeyRequest(alias="QKM2"))
        with pytest.raises(Incident) as incident:
            qekm.keystore.GetKey(GetKeyRequest(alias="broken"))
    assert unknown.value.details == {"alias": "QKM2"} and unknown.value.advice == UnknownKey.hint
    assert isinstance(unknown.value.__cause__, grpc.RpcError)
    assert incident.value.message.startswith("internal error, incident ")


async def test_errors_are_leaves_of_our_tree_in_a_loop(edge: Edge) -> None:
    async with connect_async(edge.pki.home.path, edge.target) as qekm:
        with pytest.raises(UnknownKey) as unknown:
            await qekm.keystore.GetKey(GetKeyRequest(alias="QKM2"))
        with pytest.raises(Incident):
            await qekm.keystore.GetKey(GetKeyRequest(alias="broken"))
    assert unknown.value.details == {"alias": "QKM2"}


def test_answers_arrive_one_by_one_and_then_the_error(edge: Edge) -> None:
    seen = []
    with connect(edge.pki.home.path, edge.target) as qekm:
        answers = qekm.audit.VerifyTrail(VerifyTrailRequest())
        with pytest.raises(UnknownKey):
            for answer in answers:
                seen.append(answer.checked)
        assert answers.code() is grpc.StatusCode.NOT_FOUND  # what else a call can do is there
    assert seen == [1, 2]


async def test_answers_arrive_one_by_one_and_then_the_error_in_a_loop(edge: Edge) -> None:
    seen = []
    async with connect_async(edge.pki.home.path, edge.target) as qekm:
        with pytest.raises(UnknownKey):
            async for answer in qekm.audit.VerifyTrail(VerifyTrailRequest()):
                seen.append(answer.checked)
    assert seen == [1, 2]


PARTS = [ImportKeysRequest(source=f"part {number}") for number in range(3)]
REFUSED = [*PARTS, ImportKeysRequest(source="refused"), *PARTS]


def test_many_questions_have_one_answer_or_one_error(edge: Edge) -> None:
    with connect(edge.pki.home.path, edge.target) as qekm:
        assert qekm.sharing.ImportKeys(iter(PARTS), timeout=20).sender == "3 parts"
        with pytest.raises(BadFile, match="of all things"):
            qekm.sharing.ImportKeys(iter(REFUSED), timeout=20)
    with connect(edge.pki.home.path, edge.target, identity="olga") as qekm, pytest.raises(NotAllowed):
        qekm.sharing.ImportKeys(iter(PARTS))


async def test_many_questions_have_one_answer_or_one_error_in_a_loop(edge: Edge) -> None:
    async with connect_async(edge.pki.home.path, edge.target) as qekm:
        call = qekm.sharing.ImportKeys(iter(PARTS), timeout=20)
        assert (await call).sender == "3 parts"
        assert await call.code() is grpc.StatusCode.OK
        with pytest.raises(BadFile, match="of all things"):
            await qekm.sharing.ImportKeys(iter(REFUSED), timeout=20)


def test_another_identity_is_another_role(edge: Edge) -> None:
    with connect(edge.pki.home.path, edge.target, "olga") as qekm, pytest.raises(NotAllowed) as caught:
        qekm.server.StopServer(StopServerRequest())
    assert caught.value.details["role"] == "operator"


@pytest.mark.parametrize("own", [None, 0.3])
def test_a_call_has_a_deadline(edge: Edge, own: float | None) -> None:
    begun = time.monotonic()
    deadline = 0.3 if own is None else 60
    with (
        connect(edge.pki.home.path, edge.target, deadline_s=deadline) as qekm,
        pytest.raises(ServiceAway, match="in time"),
    ):
        qekm.keystore.GetKey(GetKeyRequest(alias="slow"), timeout=own)
    assert time.monotonic() - begun < 10


async def test_a_call_has_a_deadline_in_a_loop(edge: Edge) -> None:
    async with connect_async(edge.pki.home.path, edge.target, deadline_s=0.3) as qekm:
        with pytest.raises(ServiceAway, match="in time"):
            await qekm.keystore.GetKey(GetKeyRequest(alias="slow"))


def test_a_service_that_is_down_is_named_with_what_may_be_wrong(edge: Edge) -> None:
    with (
        connect(edge.pki.home.path, "127.0.0.1:1", deadline_s=5) as qekm,
        pytest.raises(ServiceAway) as caught,
    ):
        qekm.server.GetVersion(GetVersionRequest())
    assert caught.value.message == "the service at 127.0.0.1:1 does not answer: nothing listens there"
    assert "qekm server status" in caught.value.advice


def test_a_certificate_that_is_refused_reads_as_such(edge: Edge) -> None:
    other = Pki(edge.pki.home.path.parent / "other")
    (other.home.trust).write_bytes(edge.pki.home.trust.read_bytes())
    with connect(other.home.path, edge.target, deadline_s=5) as qekm, pytest.raises(ServiceAway) as caught:
        qekm.server.GetVersion(GetVersionRequest())
    assert edge.target in caught.value.message and "refused our certificate" in caught.value.message


def test_a_service_of_another_authority_is_refused(edge: Edge) -> None:
    other = Pki(edge.pki.home.path.parent / "another")
    with connect(other.home.path, edge.target, deadline_s=5) as qekm, pytest.raises(ServiceAway) as caught:
        qekm.server.GetVersion(GetVersionRequest())
    assert "trust.pem" in caught.value.message


def test_without_a_target_the_running_service_of_the_home_is_asked(edge: Edge) -> None:
    with edge.pki.home.announced("server", "0", {"grpc": edge.port}), connect(edge.pki.home.path) as qekm:
        qekm.server.GetVersion(GetVersionRequest())


def test_a_directory_without_a_key_manager_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotInitialised, match=str(tmp_path)), connect(tmp_path):
        pass


def test_an_identity_that_is_not_there_is_named(edge: Edge) -> None:
    with pytest.raises(UnknownIdentity, match=r"nobody\.pem"), connect(edge.pki.home.path, identity="nobody"):
        pass


def test_a_certificate_without_its_key_is_named(edge: Edge) -> None:
    edge.pki.home.certificate("keyless").write_bytes(edge.pki.home.certificate("olga").read_bytes())
    with (
        pytest.raises(NotInitialised, match=r"keyless\.key"),
        connect(edge.pki.home.path, identity="keyless"),
    ):
        pass


def test_a_service_that_does_not_exist_is_no_attribute(edge: Edge) -> None:
    with connect(edge.pki.home.path, edge.target) as qekm, pytest.raises(AttributeError, match="keystore"):
        _ = qekm.serving


def test_importing_the_client_imports_no_grpc() -> None:
    code = "import sys, qekm.client; assert not {'grpc', 'google', 'cryptography'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_connecting_to_one_service_loads_no_others_messages(edge: Edge) -> None:
    code = (
        "import sys\nfrom qekm.client import connect\nfrom qekm.v1.server_pb2 import GetVersionRequest\n"
        f"with connect({str(edge.pki.home.path)!r}, {edge.target!r}) as qekm:\n"
        "    qekm.server.GetVersion(GetVersionRequest())\n"
        "assert not {'qekm.v1.keystore_pb2', 'cryptography'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_file_that_may_not_be_read_is_named(edge: Edge) -> None:
    edge.pki.home.key("folder").mkdir()
    edge.pki.home.certificate("folder").write_bytes(b"")
    with pytest.raises(BadConfiguration, match="folder"), connect(edge.pki.home.path, identity="folder"):
        pass
