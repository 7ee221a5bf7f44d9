"""CertificatesService: the internal authority, for those who may use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qekm.api.consent import Consent, Consents
from qekm.api.fields import chosen, one_line, stamp
from qekm.api.guard import caller
from qekm.api.journal import Journal
from qekm.api.paging import Paged, cut
from qekm.approvals import DECIDERS, Act
from qekm.audit import occurred
from qekm.certificates import Certificates, Issued
from qekm.errors import BadArgument, NotAllowed
from qekm.model import Certificate, Role
from qekm.pki import read_request
from qekm.v1 import certificates_pb2 as pb
from qekm.v1.certificates_pb2_grpc import CertificatesServiceServicer


class CertificatesServicer(CertificatesServiceServicer):
    """Thin: the owner decides, the journal commits, files and credentials follow."""

    def __init__(
        self,
        certificates: Certificates,
        journal: Journal,
        consents: Consents,
        now_us: Callable[[], int],
        publish: Callable[[], None],
    ) -> None:
        """Take the owner, the journal, and what brings a roll-over into force once it is committed.

        publish: writes pki/trust.pem and pki/server.pem (qekm.rpc.tls.publish) and hands the signer's new
        certificate to Serving.
        """
        self._certificates = certificates
        self._journal, self._consents, self._now_us = journal, consents, now_us
        self._publish = publish

    async def ListCertificates(
        self, request: pb.ListCertificatesRequest, context: Any
    ) -> pb.ListCertificatesResponse:
        """List issued certificates, newest first."""
        page = Paged.of(request)
        found = self._certificates.page(page.text, page.size + 1)
        rows, token = cut(page, found, lambda record: record.serial)
        return pb.ListCertificatesResponse(certificates=map(to_proto, rows), next_page_token=token)

    async def IssueCertificate(
        self, request: pb.IssueCertificateRequest, context: Any
    ) -> pb.IssueCertificateResponse:
        """Sign a request for a role and a name; BadArgument, BadCertificate, ApprovalNeeded."""
        role = chosen(Role, request.role, "role")
        if role is Role.CANDIDATE:
            raise BadArgument("who may ask to join has an invitation: qekm peers invite", field="role")
        key = read_request(request.csr)
        self._certificates.check(role, request.name, request.hosts, request.days)  # before it is asked for
        summary = f"issue a certificate of {role.name.lower()}/{request.name}"
        # The key is no part of it: whoever approves cannot tell whose it is, only whom the certificate names.
        act = Act.of("certificate", summary, role, request.name, list(request.hosts), request.days)
        consent = await self._consent("IssueCertificate", role, act)
        issued, changes = self._certificates.issue(key, role, request.name, request.hosts, request.days)
        message = consent.told(_told(issued.record))
        await self._journal.commit("IssueCertificate", [*consent.changes, *changes], message=message)
        return pb.IssueCertificateResponse(**self._handed(issued))

    async def RenewCertificate(
        self, request: pb.RenewCertificateRequest, context: Any
    ) -> pb.RenewCertificateResponse:
        """Sign a request of the caller's own identity, or of a named one for an administrator.

        ApprovalNeeded for who may approve himself, NotAllowed.
        """
        own = caller()
        serial = request.serial.lower() or own.serial
        if serial != own.serial and own.role is not Role.ADMINISTRATOR:
            role = own.role.name.lower()
            raise NotAllowed(
                f"the role {role} may renew its own certificate only", role=role, method="RenewCertificate"
            )
        key = read_request(request.csr)
        consent = Consent() if serial == own.serial else await self._consent_to_renew(serial)
        issued, changes = self._certificates.renew(key, serial)
        what = consent.told(f"{_told(issued.record)} after {serial}")
        await self._journal.commit("RenewCertificate", [*consent.changes, *changes], message=what)
        if issued.record.role is Role.SERVER:
            self._publish()
        return pb.RenewCertificateResponse(**self._handed(issued))

    async def RevokeCertificate(
        self, request: pb.RevokeCertificateRequest, context: Any
    ) -> pb.RevokeCertificateResponse:
        """Refuse an identity's certificates from now on and end their calls under way, except this one."""
        reason = one_line(request.reason, "reason")
        revoked, changes = self._certificates.revoke(request.serial, only_this=request.only_this)
        also = [each for each in changes if each.serial != revoked.serial]
        records = [
            occurred(each.revoke_time_us, "certificate.revoke", caller().actor, message=_told(each))
            for each in also
        ]
        what = f"{_told(revoked)}: {reason}" if reason else _told(revoked)
        await self._journal.commit("RevokeCertificate", [*changes, *records], message=what)
        return pb.RevokeCertificateResponse(certificate=to_proto(revoked), also_revoked=map(to_proto, also))

    async def GetTrust(self, request: pb.GetTrustRequest, context: Any) -> pb.GetTrustResponse:
        """Tell the authorities in force."""
        return pb.GetTrustResponse(
            trust_pem=self._certificates.trust_pem,
            rolling=self._certificates.rolling,
            old_count=len(self._certificates.outdated()),
        )

    async def StartRollover(self, request: pb.StartRolloverRequest, context: Any) -> pb.StartRolloverResponse:
        """Make a new authority; both are trusted until FinishRollover."""
        await self._journal.commit("StartRollover", self._certificates.start_rollover())
        self._publish()
        return pb.StartRolloverResponse(trust_pem=self._certificates.trust_pem)

    async def FinishRollover(
        self, request: pb.FinishRolloverRequest, context: Any
    ) -> pb.FinishRolloverResponse:
        """End trust in the old authority."""
        changes = self._certificates.finish_rollover(force=request.force)
        await self._journal.commit("FinishRollover", changes, message="forced" if request.force else "")
        self._publish()
        return pb.FinishRolloverResponse(trust_pem=self._certificates.trust_pem)

    async def _consent_to_renew(self, serial: str) -> Consent:
        record = self._certificates.by_serial(serial)
        summary = f"renew the certificate of {_told(record)}"
        return await self._consent("RenewCertificate", record.role, Act.of("certificate", summary, serial))

    async def _consent(self, method: str, role: Role, act: Act) -> Consent:
        """Return the consent to a certificate of a role; ApprovalNeeded.

        Once there are two who may approve, one of them must not make a third alone: it could be himself.
        """
        if role not in {*DECIDERS, Role.SERVER}:  # a server's could pass for the service, and hear passwords
            return Consent()
        return await self._consents.require_of_two(method, act)

    def _handed(self, issued: Issued) -> dict[str, Any]:
        """Return the fields of an answer that hands over a certificate."""
        return {
            "certificate": to_proto(issued.record),
            "pem": issued.pem,
            "trust_pem": self._certificates.trust_pem,
        }


def to_proto(record: Certificate) -> pb.Certificate:
    """Return a record as its message."""
    return pb.Certificate(
        serial=record.serial,
        role=pb.Role.ValueType(record.role),
        name=record.name,
        start_time=stamp(record.start_time_us),
        expire_time=stamp(record.expire_time_us),
        revoke_time=stamp(record.revoke_time_us),
        authority=record.authority,
    )


def _told(record: Certificate) -> str:
    return f"{record.role.name.lower()}/{record.name}, serial {record.serial}"
