"""CertificatesService over a real channel, with the real owner and guard; the store is a list."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from cryptography import x509

from qekm import certificates as owner
from qekm import keypair, pki
from qekm.api.certificates import CertificatesServicer
from qekm.api.consent import Consents
from qekm.api.journal import Journal
from qekm.approvals import Approvals
from qekm.certificates import Certificates
from qekm.client import AsyncClient, connect_async
from qekm.errors import (
    BadArgument,
    BadCertificate,
    BadPageToken,
    LastAdministrator,
    NotAllowed,
    QekmError,
    RevokedIdentity,
    RolloverState,
    ServiceAway,
    UnknownCertificate,
)
from qekm.model import AuditRecord, Certificate, Change, Role, Vault
from qekm.rpc import tls
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.subject import subject_of
from qekm.v1 import certificates_pb2 as pb
from qekm.v1.certificates_pb2_grpc import add_CertificatesServiceServicer_to_server
from tests.fakes.edge import Edge
from tests.fakes.pki import Pki, now_us


class Units:
    """A store that keeps every unit committed."""

    def __init__(self) -> None:
        self.units: list[Sequence[Change]] = []

    async def commit(self, changes: Sequence[Change]) -> None:
        """Keep a unit; the caller waits a little, as for a disk."""
        await asyncio.sleep(0.001)
        self.units.append(changes)

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """Return event, actor and message of every audit record."""
        records = [each for unit in self.units for each in unit if isinstance(each, AuditRecord)]
        return [(each.event, each.actor, each.message) for each in records]


class Service:
    """A key manager of nothing but certificates."""

    def __init__(self, path: Path) -> None:
        self.pki = Pki(path)
        self.store = Units()
        ring = KeyRing(Secret(bytes(32)), self.pki.estate)
        sealed = ring.seal_vault(owner.AUTHORITY, self.pki.issuer.dump_key().reveal())
        vaults = [
            Vault(owner.AUTHORITY, sealed, pki.der(self.pki.issuer.certificate)),
            Vault(owner.SIGNER, b"", pki.der(self.pki.founding.signer)),
        ]
        self.owner = Certificates(
            self.pki.estate,
            {vault.name: vault for vault in vaults},
            self.pki.founding.records,
            self.pki.home.certificate("server").read_bytes(),
            ring,
            now_us,
            os.urandom,
        )
        self.approvals = Approvals((), now_us, os.urandom, two_person=False)
        self.edge = Edge(self.pki, deny=self.owner.denied)

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicer under test."""
        journal = Journal(self.store, now_us)
        consents = Consents(self.approvals, journal, lambda: 2)
        servicer = CertificatesServicer(self.owner, journal, consents, now_us, self.publish)
        add_CertificatesServiceServicer_to_server(servicer, server)

    def publish(self) -> None:
        """Do what the service does."""
        tls.publish(self.pki.server, self.owner.server_pem, self.owner.trust_pem)

    def client(self, identity: str = "administrator") -> Any:
        """Return a client of an identity."""
        return connect_async(self.pki.home.path, self.edge.target, identity, deadline_s=10)

    async def have(
        self, qekm: AsyncClient, role: Role, name: str, **fields: Any
    ) -> pb.IssueCertificateResponse:
        """Have a certificate issued and keep it with its key in the home."""
        key = keypair.make_key()
        request = pb.IssueCertificateRequest(
            csr=keypair.make_request(key), role=pb.Role.ValueType(role), name=name, **fields
        )
        response = await qekm.certificates.IssueCertificate(request)
        self.pki.home.key(name).write_bytes(keypair.dump_key(key))
        self.pki.home.certificate(name).write_bytes(response.pem)
        return response

    async def renew(self, qekm: AsyncClient, name: str, serial: str = "") -> pb.RenewCertificateResponse:
        """Renew the certificate of a name with its key."""
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key: Any = load_pem_private_key(self.pki.home.key(name).read_bytes(), None)
        request = pb.RenewCertificateRequest(csr=keypair.make_request(key), serial=serial)
        response = await qekm.certificates.RenewCertificate(request)
        self.pki.home.certificate(name).write_bytes(response.pem)
        return response


@pytest_asyncio.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """Return a running service."""
    service = Service(tmp_path / "home")
    async with service.edge.serving({}, service.register):
        yield service


async def test_a_certificate_is_issued_recorded_and_at_once_of_use(service: Service) -> None:
    async with service.client() as qekm:
        issued = await service.have(qekm, Role.AUDITOR, "ulf", days=30)
    async with service.client("ulf") as qekm:
        listed = (await qekm.certificates.ListCertificates(pb.ListCertificatesRequest())).certificates
    assert issued.certificate in listed and len(listed) == 4
    assert issued.trust_pem == service.pki.home.trust.read_bytes()
    [[record, audited]] = service.store.units  # in one unit
    assert isinstance(record, Certificate) and record.serial == issued.certificate.serial
    assert isinstance(audited, AuditRecord) and audited.event == "rpc.IssueCertificate"
    assert service.store.told == [
        ("rpc.IssueCertificate", "administrator/administrator", f"auditor/ulf, serial {record.serial}")
    ]


async def test_what_cannot_be_issued_is_named_and_leaves_nothing(service: Service) -> None:
    good = {"csr": keypair.make_request(keypair.make_key()), "role": pb.ROLE_OPERATOR, "name": "olga"}
    bad: list[tuple[dict[str, Any], type[QekmError], str]] = [
        ({"csr": b""}, BadCertificate, ""),
        ({"csr": good["csr"][:-1]}, BadCertificate, ""),  # type: ignore[index]
        ({"role": 0}, BadArgument, "role"),
        ({"role": pb.ROLE_CANDIDATE}, BadArgument, "role"),
        ({"role": 8}, BadArgument, "role"),
        ({"name": ""}, BadArgument, "name"),
        ({"name": "a/b"}, BadArgument, "name"),
        ({"name": "x" * 65}, BadArgument, "name"),
        ({"hosts": ["localhost"]}, BadArgument, "hosts"),
        ({"role": pb.ROLE_GATEWAY, "hosts": ["a b"]}, BadArgument, "hosts"),
        ({"days": 826}, BadArgument, "days"),
        ({"days": 4_294_967_295}, BadArgument, "days"),
    ]
    async with service.client() as qekm:
        for change, error, field in bad:
            with pytest.raises(error) as caught:
                await qekm.certificates.IssueCertificate(pb.IssueCertificateRequest(**{**good, **change}))
            assert caught.value.details.get("field", "") == field, change
    assert service.store.units == []


async def test_everyone_renews_the_own_certificate_and_an_administrator_anyones(service: Service) -> None:
    async with service.client() as admin:
        olga = await service.have(admin, Role.OPERATOR, "olga")
        gateway = service.pki.serial("gateway")
        async with service.client("olga") as own:
            again = await service.renew(own, "olga")
            for serial in (gateway, service.pki.serial("administrator"), "00"):
                with pytest.raises(NotAllowed) as caught:
                    await own.certificates.RenewCertificate(
                        pb.RenewCertificateRequest(
                            csr=keypair.make_request(keypair.make_key()), serial=serial
                        )
                    )
            assert caught.value.details == {"role": "operator", "method": "RenewCertificate"}
            mine = await service.renew(own, "olga", olga.certificate.serial.upper())
        theirs = await service.renew(admin, "gateway", gateway)
        with pytest.raises(UnknownCertificate):
            await service.renew(admin, "gateway", "00")
    assert {again.certificate.name, mine.certificate.name} == {"olga"}
    leaf = x509.load_pem_x509_certificate(theirs.pem)
    assert subject_of(leaf).hosts == ("localhost", "127.0.0.1", "::1")
    assert [who.actor for who, *_ in service.edge.refusals if who] == ["operator/olga"] * 3
    async with service.client("gateway") as renewed:
        await renewed.certificates.GetTrust(pb.GetTrustRequest())


async def test_who_is_revoked_is_out_at_once_on_an_open_connection(service: Service) -> None:
    async with service.client() as admin:
        olga = await service.have(admin, Role.OPERATOR, "olga")
        async with service.client("olga") as own:
            await own.certificates.GetTrust(pb.GetTrustRequest())
            request = pb.RevokeCertificateRequest(serial=olga.certificate.serial, reason="left the company")
            revoked = await admin.certificates.RevokeCertificate(request)
            assert revoked.certificate.HasField("revoke_time")
            with pytest.raises(RevokedIdentity):
                await own.certificates.GetTrust(pb.GetTrustRequest())
            with pytest.raises(RevokedIdentity):
                await service.renew(own, "olga")
        await admin.certificates.RevokeCertificate(request)  # again is no error
    assert service.store.told[1][2] == f"operator/olga, serial {olga.certificate.serial}: left the company"


@pytest.mark.parametrize("only_this", [False, True])
async def test_a_thief_who_renewed_is_out_with_the_stolen_certificate(
    service: Service, only_this: bool
) -> None:
    async with service.client() as admin:
        stolen = (await service.have(admin, Role.OPERATOR, "olga")).certificate.serial
        async with service.client("olga") as thief:
            renewed = (await service.renew(thief, "olga")).certificate.serial
        async with service.client("olga") as thief:  # with the renewal
            await thief.certificates.GetTrust(pb.GetTrustRequest())
            request = pb.RevokeCertificateRequest(serial=stolen, only_this=only_this, reason="stolen")
            response = await admin.certificates.RevokeCertificate(request)
            if only_this:
                await thief.certificates.GetTrust(pb.GetTrustRequest())
            else:
                with pytest.raises(RevokedIdentity):
                    await thief.certificates.GetTrust(pb.GetTrustRequest())
    assert response.certificate.serial == stolen
    assert [each.serial for each in response.also_revoked] == ([] if only_this else [renewed])
    told = [(event, message) for event, _, message in service.store.told[2:]]
    also = [] if only_this else [("certificate.revoke", f"operator/olga, serial {renewed}")]
    assert told == [*also, ("rpc.RevokeCertificate", f"operator/olga, serial {stolen}: stolen")]


async def test_the_last_administrator_stays(service: Service) -> None:
    own = service.pki.serial("administrator")
    async with service.client() as admin:
        with pytest.raises(LastAdministrator) as caught:
            await admin.certificates.RevokeCertificate(pb.RevokeCertificateRequest(serial=own))
        assert "qekm certificates issue" in caught.value.advice
        await service.have(admin, Role.ADMINISTRATOR, "alice")
        gone = await admin.certificates.RevokeCertificate(pb.RevokeCertificateRequest(serial=own))
        assert gone.certificate.serial == own  # who gives up the own certificate gets the answer
        with pytest.raises(RevokedIdentity):
            await admin.certificates.GetTrust(pb.GetTrustRequest())


@pytest.mark.parametrize("reason", ["two\nlines", "x" * 201, "\x1b[31m", "\u202e"])
async def test_a_reason_cannot_forge_a_line(service: Service, reason: str) -> None:
    serial = service.pki.serial("gateway")
    async with service.client() as admin:
        with pytest.raises(BadArgument) as caught:
            await admin.certificates.RevokeCertificate(
                pb.RevokeCertificateRequest(serial=serial, reason=reason)
            )
    assert caught.value.details == {"field": "reason"} and serial not in service.owner.denied


async def test_lists_come_in_pages(service: Service) -> None:
    seen: list[str] = []
    async with service.client() as admin:
        for number in range(5):
            await service.have(admin, Role.OPERATOR, f"o{number}")
        request = pb.ListCertificatesRequest(page_size=3)
        while True:
            page = await admin.certificates.ListCertificates(request)
            seen += [each.serial for each in page.certificates]
            if not page.next_page_token:
                break
            assert len(page.certificates) == 3
            request.page_token = page.next_page_token
        with pytest.raises(BadPageToken):
            await admin.certificates.ListCertificates(pb.ListCertificatesRequest(page_token="AAAA"))
    assert len(seen) == len(set(seen)) == 8


async def test_an_authority_is_rolled_over_step_by_step(service: Service) -> None:
    async with service.client() as admin:
        trust = await admin.certificates.GetTrust(pb.GetTrustRequest())
        assert (trust.rolling, trust.old_count) == (False, 0)
        started = await admin.certificates.StartRollover(pb.StartRolloverRequest())
        assert started.trust_pem.count(b"BEGIN") == 2
        assert service.pki.home.trust.read_bytes() == started.trust_pem
        trust = await admin.certificates.GetTrust(pb.GetTrustRequest())
        assert (trust.rolling, trust.old_count) == (True, 2)
        with pytest.raises(RolloverState):
            await admin.certificates.StartRollover(pb.StartRolloverRequest())
        with pytest.raises(RolloverState, match="2 certificates"):
            await admin.certificates.FinishRollover(pb.FinishRolloverRequest())
        old = service.pki.serial("administrator"), service.pki.serial("gateway")
        await service.renew(admin, "gateway", old[1])
        await service.renew(admin, "administrator")
    async with service.client() as admin:  # with the new certificate
        for serial in old:
            await admin.certificates.RevokeCertificate(
                pb.RevokeCertificateRequest(serial=serial, only_this=True)
            )
        finished = await admin.certificates.FinishRollover(pb.FinishRolloverRequest())
        assert finished.trust_pem.count(b"BEGIN") == 1
        with pytest.raises(RolloverState):
            await admin.certificates.FinishRollover(pb.FinishRolloverRequest(force=True))
    async with service.client("gateway") as gateway:
        trust = await gateway.certificates.GetTrust(pb.GetTrustRequest())
    assert (trust.rolling, trust.trust_pem) == (False, finished.trust_pem)
    assert [event.removeprefix("rpc.") for event, *_ in service.store.told] == [
        "StartRollover",
        *["RenewCertificate"] * 2,
        *["RevokeCertificate"] * 2,
        "FinishRollover",
    ]


async def test_a_client_that_trusts_only_the_old_authority_still_gets_in_until_the_end(
    service: Service,
) -> None:
    remote = Pki(service.pki.home.path.parent / "remote").home
    for name in ("administrator.pem", "administrator.key", "trust.pem"):
        (remote.pki / name).write_bytes((service.pki.home.pki / name).read_bytes())

    def remote_client() -> Any:
        return connect_async(remote.path, service.edge.target, deadline_s=10)

    async with service.client() as admin:
        await admin.certificates.StartRollover(pb.StartRolloverRequest())
        async with remote_client() as far:
            trust = (await far.certificates.GetTrust(pb.GetTrustRequest())).trust_pem
            assert trust.count(b"BEGIN") == 2
        await service.have(admin, Role.ADMINISTRATOR, "alice")
        await admin.certificates.FinishRollover(pb.FinishRolloverRequest(force=True))
        # The forced end is the end of this very certificate, too.
        with pytest.raises(RevokedIdentity):
            await admin.certificates.GetTrust(pb.GetTrustRequest())
    async with remote_client() as far:
        with pytest.raises(ServiceAway):
            await far.certificates.GetTrust(pb.GetTrustRequest())
    async with service.client("alice") as alice:
        assert not (await alice.certificates.GetTrust(pb.GetTrustRequest())).rolling


async def test_two_who_start_a_rollover_at_once_make_one(service: Service) -> None:
    async with service.client() as admin:
        made = [admin.certificates.StartRollover(pb.StartRolloverRequest()) for _ in range(2)]
        outcomes = await asyncio.gather(*made, return_exceptions=True)
    assert sorted(type(each).__name__ for each in outcomes) == ["RolloverState", "StartRolloverResponse"]
    assert len(service.store.units) == 1
