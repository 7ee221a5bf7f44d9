"""Certificates against the real service: who gets in, who does not, and a roll-over under load.

Every refusal stands beside a good call on the same listener in the same test.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from grpc import aio

from qekm import keypair, pki
from qekm.errors import NotAllowed, QekmError, RevokedIdentity, RolloverState, ServiceAway, UnknownIdentity
from qekm.model import Role
from qekm.pki import Issuer
from qekm.rpc import channel, tls
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.unlocking import unlock
from qekm.v1 import certificates_pb2 as pb
from qekm.v1.audit_pb2 import ListRecordsRequest
from qekm.v1.server_pb2 import GetStatusRequest, GetVersionRequest, StopServerRequest
from qekm.v1.serving_pb2 import GatewayHello, ServeRequest
from qekm.v1.serving_pb2_grpc import ServingServiceStub
from tests.fakes.pki import DAY_US, SERVER, Forge, now_us
from tests.system.processes import Estate, made
from tests.waiting import PATIENCE_S, wait_for


def with_authority(estate: Estate) -> Forge:
    """Take the service's own authority out of its store, then start the service."""
    store = Store.open(estate.home.store, unlock(KeyFileSealer(estate.home.root_key)))
    try:
        ring = store.ring
        vault = store.load().vaults["ca"]
        forge = Forge(estate.home, store.estate_id, Issuer.load(vault.certificate, ring.open_vault(vault)))
    finally:
        store.close()
    estate.start(gateway=False)
    return forge


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Estate, Forge]]:
    """Return one running service for all tests that only bring certificates to it."""
    with made(Path(tmp_path_factory.mktemp("certificates") / "home")) as estate:
        yield estate, with_authority(estate)


@pytest.fixture
def forge(estate: Estate) -> Forge:
    """Return the authority of a running service of the test's own."""
    return with_authority(estate)


def ask(estate: Estate, identity: str = "administrator") -> None:
    """Make one call on a connection of its own."""
    with estate.client(identity) as qekm:
        qekm.server.GetVersion(GetVersionRequest())


def refused(estate: Estate, forge: Forge, name: str, *kinds: type[QekmError]) -> None:
    """Check that a certificate is refused, between two good calls."""
    ask(estate)
    with pytest.raises(kinds):
        ask(estate, name)
    ask(estate)


def request_for(estate: Estate, name: str) -> bytes:
    """Return a request for the key of a name."""
    key: Any = load_pem_private_key(estate.home.key(name).read_bytes(), None)
    return keypair.make_request(key)


def have(estate: Estate, role: Role, name: str) -> str:
    """Have a certificate issued over the API and return its serial."""
    key = keypair.make_key()
    estate.home.key(name).write_bytes(keypair.dump_key(key))
    request = pb.IssueCertificateRequest(
        csr=keypair.make_request(key), role=pb.Role.ValueType(role), name=name
    )
    with estate.client() as qekm:
        response = qekm.certificates.IssueCertificate(request)
    estate.home.certificate(name).write_bytes(response.pem)
    return str(response.certificate.serial)


def failed_of(qekm: Any, actor: str) -> list[Any]:
    """Return the records of what somebody asked in vain."""
    records = qekm.audit.ListRecords(ListRecordsRequest(failed=True)).records
    return [each for each in records if each.actor == actor]


def test_no_certificate(shared: tuple[Estate, Forge]) -> None:
    estate, _ = shared
    ask(estate)
    trust = grpc.ssl_channel_credentials(estate.home.trust.read_bytes())
    target = f"localhost:{estate.ports['grpc']}"
    for opened in (grpc.insecure_channel(target), channel.open_channel(target, trust)):
        with opened, pytest.raises(grpc.RpcError) as caught:
            call: Any = opened.unary_unary("/qekm.v1.ServerService/GetVersion")
            call(b"", timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    ask(estate)


def test_a_certificate_of_another_authority(shared: tuple[Estate, Forge]) -> None:
    estate, forge = shared
    other = pki.make_issuer(forge.estate, now_us(), os.urandom)
    forge.forge("other", issuer=other, uris=[forge.uri()])
    refused(estate, forge, "other", ServiceAway)


def test_a_certificate_of_an_authority_of_the_same_name(shared: tuple[Estate, Forge]) -> None:
    estate, forge = shared
    twin = Issuer(forge.issuer.certificate, keypair.make_key())
    forge.forge("twin", issuer=twin, uris=[forge.uri()])
    refused(estate, forge, "twin", ServiceAway)


def test_a_certificate_that_has_ended(shared: tuple[Estate, Forge]) -> None:
    estate, forge = shared
    forge.issue(Role.ADMINISTRATOR, "ended", ago_us=30 * DAY_US)
    refused(estate, forge, "ended", ServiceAway)


def test_a_certificate_that_has_not_begun(shared: tuple[Estate, Forge]) -> None:
    estate, forge = shared
    forge.issue(Role.ADMINISTRATOR, "early", ago_us=-DAY_US)
    refused(estate, forge, "early", ServiceAway)


def test_a_certificate_for_servers_only(shared: tuple[Estate, Forge]) -> None:
    estate, forge = shared
    forge.forge("purpose", uris=[forge.uri()], usages=[SERVER])
    refused(estate, forge, "purpose", ServiceAway)
    refused(estate, forge, "server", NotAllowed)  # the service's own, which calls its peers


def test_a_certificate_with_the_right_common_name_only(shared: tuple[Estate, Forge]) -> None:
    estate, forge = shared
    forge.forge("common", common_name="administrator")
    refused(estate, forge, "common", UnknownIdentity)


def test_a_certificate_of_another_estate(shared: tuple[Estate, Forge]) -> None:
    estate, forge = shared
    forge.issue(Role.ADMINISTRATOR, "elsewhere", estate=os.urandom(16))
    refused(estate, forge, "elsewhere", UnknownIdentity)


def test_a_self_signed_copy_of_a_trusted_certificate(shared: tuple[Estate, Forge]) -> None:
    estate, forge = shared
    forge.counterfeit("copy", "administrator")
    refused(estate, forge, "copy", ServiceAway)


def test_the_right_authority_and_the_wrong_role(shared: tuple[Estate, Forge]) -> None:
    estate, _ = shared
    have(estate, Role.OPERATOR, "olga")
    ask(estate, "olga")
    with estate.client("olga") as qekm, pytest.raises(NotAllowed):
        qekm.server.StopServer(StopServerRequest())
    ask(estate)
    with estate.client() as qekm:  # its caller is told of a refusal before it is on the disk
        [record] = wait_for(lambda: failed_of(qekm, "operator/olga"))
    assert (record.event, record.code) == ("rpc.refuse", "NOT_ALLOWED") and "StopServer" in record.message


def test_a_revoked_certificate(estate: Estate, forge: Forge) -> None:
    serial = have(estate, Role.OPERATOR, "olga")
    with estate.client() as admin, estate.client("olga") as olga:
        olga.server.GetVersion(GetVersionRequest())
        admin.certificates.RevokeCertificate(pb.RevokeCertificateRequest(serial=serial))
        with pytest.raises(RevokedIdentity):  # on the open connection
            olga.server.GetVersion(GetVersionRequest())
        admin.server.GetVersion(GetVersionRequest())
    refused(estate, forge, "olga", RevokedIdentity)  # on a new one
    estate.stop()
    estate.start(gateway=False)
    refused(estate, forge, "olga", RevokedIdentity)  # after a restart, from the first call on


@pytest.mark.parametrize(("option", "accepted"), [("-tls1_2", False), ("-tls1_3", True)])
def test_tls_1_3_is_the_only_version(shared: tuple[Estate, Forge], option: str, accepted: bool) -> None:
    estate, forge = shared
    files = forge.files("administrator")
    done = subprocess.run(
        [
            *("openssl", "s_client", "-connect", f"127.0.0.1:{estate.ports['grpc']}", option, "-alpn", "h2"),
            *("-CAfile", files.trust, "-cert", files.certificate, "-key", files.key, "-verify_return_error"),
        ],
        input=b"",
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert (b"Server certificate" in done.stdout) is accepted
    assert (done.returncode == 0) is accepted
    ask(estate)


def test_older_versions_are_not_spoken_to_either(shared: tuple[Estate, Forge]) -> None:
    """A client of another make, which offers everything it can."""
    estate, _ = shared
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(estate.home.trust)
    context.load_cert_chain(estate.home.certificate("administrator"), estate.home.key("administrator"))
    context.set_alpn_protocols(["h2"])
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", estate.ports["grpc"]), 10) as plain,
        pytest.raises((ssl.SSLError, ConnectionError)),
    ):
        context.wrap_socket(plain, server_hostname="localhost")
    ask(estate)


async def to_its_end(stream: Any) -> None:
    """Read what the service says of itself, as a configure command, until the stream ends."""
    while await stream.read() is not aio.EOF:
        pass


async def test_a_revoked_gateways_open_stream_ends(estate: Estate, forge: Forge) -> None:
    target = f"localhost:{estate.ports['grpc']}"
    goes_on = asyncio.Event()

    async def steps() -> AsyncIterator[ServeRequest]:
        yield ServeRequest(hello=GatewayHello(version="0", pid=1))
        await goes_on.wait()

    credentials = tls.client_credentials(forge.files("gateway"))
    async with estate.client_async() as admin, channel.open_async_channel(target, credentials) as opened:
        stream: Any = ServingServiceStub(opened).Serve(steps())
        end = time.monotonic() + PATIENCE_S
        while not (seen := (await admin.server.GetStatus(GetStatusRequest())).gateways):
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        assert len(seen) == 1
        begun = time.monotonic()
        await admin.certificates.RevokeCertificate(
            pb.RevokeCertificateRequest(serial=forge.serial("gateway"))
        )
        with pytest.raises(aio.AioRpcError) as caught:
            await asyncio.wait_for(to_its_end(stream), 60)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert time.monotonic() - begun < 5
        assert not (await admin.server.GetStatus(GetStatusRequest())).gateways
        again: Any = ServingServiceStub(opened).Serve(steps())
        with pytest.raises(aio.AioRpcError):
            await to_its_end(again)
        goes_on.set()


class Load:
    """Callers that never pause, on open connections and on new ones, and what became of their calls."""

    def __init__(self, estate: Estate, names: tuple[str, ...]) -> None:
        self.good = 0
        self.bad: list[str] = []
        self._estate, self._going = estate, True
        self._tasks = [
            asyncio.create_task(each(name)) for name in names for each in (self._reconnect, self._stay)
        ]

    async def stop(self) -> None:
        """Let the calls under way end."""
        self._going = False
        await asyncio.gather(*self._tasks)

    async def more(self, count: int = 100) -> None:
        """Wait for so many further good calls."""
        wanted = self.good + count
        while self.good < wanted and not self.bad:
            await asyncio.sleep(0.01)

    async def _reconnect(self, name: str) -> None:
        while self._going:
            async with self._estate.client_async(name) as qekm:
                await self._call(qekm)

    async def _stay(self, name: str) -> None:
        """Keep a connection until its files change, as a gateway does."""
        files = Forge(self._estate.home, b"", None).files(name)  # type: ignore[arg-type]
        while self._going:
            state = files.state()
            async with self._estate.client_async(name) as qekm:
                while self._going and files.state() == state:
                    await self._call(qekm)

    async def _call(self, qekm: Any) -> None:
        try:
            await qekm.server.GetVersion(GetVersionRequest(), timeout=10)
            self.good += 1
        except QekmError as error:
            self.bad.append(f"{type(error).__name__}: {error}")


async def test_an_authority_is_rolled_over_under_load_without_a_failed_call(
    estate: Estate, forge: Forge
) -> None:
    names = ("administrator", "gateway")
    load = Load(estate, names)
    anchors = []
    for _ in range(2):
        await load.more()
        async with estate.client_async() as admin:
            anchors.append((await admin.server.GetStatus(GetStatusRequest())).anchor)
            await admin.certificates.StartRollover(pb.StartRolloverRequest())
            await load.more()
            with pytest.raises(RolloverState):
                await admin.certificates.FinishRollover(pb.FinishRolloverRequest())
            before = [forge.serial(name) for name in names]
            for name, serial in zip(names, before, strict=True):
                request = pb.RenewCertificateRequest(csr=request_for(estate, name), serial=serial)
                response = await admin.certificates.RenewCertificate(request)
                tls.publish(forge.files(name), response.pem, response.trust_pem)
        await load.more()  # everyone has changed to the new files
        async with estate.client_async() as admin:
            for serial in before:
                await admin.certificates.RevokeCertificate(
                    pb.RevokeCertificateRequest(serial=serial, only_this=True)
                )
            await load.more()
            finished = await admin.certificates.FinishRollover(pb.FinishRolloverRequest())
        assert finished.trust_pem == estate.home.trust.read_bytes()
        assert finished.trust_pem.count(b"BEGIN") == 1
        await load.more()
    await load.stop()
    assert load.bad == []
    assert len(set(anchors)) == 1  # drives' anchors never notice
    refused_by_the_old = forge.issue(Role.ADMINISTRATOR, "old")  # by the first authority, long gone
    assert refused_by_the_old.certificate.exists()
    await asyncio.to_thread(refused, estate, forge, "old", ServiceAway)
    estate.stop()
    await asyncio.to_thread(estate.start, gateway=False)
    await asyncio.to_thread(ask, estate)


async def test_the_service_comes_back_in_the_middle_of_a_rollover(estate: Estate, forge: Forge) -> None:
    async with estate.client_async() as admin:
        await admin.certificates.StartRollover(pb.StartRolloverRequest())
    assert estate.server is not None
    estate.server.kill()
    # As if it had been killed between the commit and the files.
    forge_trust = pki.pem(forge.issuer.certificate)
    estate.home.trust.write_bytes(forge_trust)
    await asyncio.to_thread(estate.start, gateway=False)
    async with estate.client_async() as admin:
        trust = await admin.certificates.GetTrust(pb.GetTrustRequest())
    assert trust.rolling and trust.trust_pem == estate.home.trust.read_bytes() != forge_trust
