"""SharingService: partners, our own certificates for them, exports and imports."""

from __future__ import annotations

from typing import Any

from cryptography import x509

from qekm.api.consent import Consents
from qekm.api.exports import Exports
from qekm.api.fields import sized, stamp
from qekm.api.imports import Imports
from qekm.api.journal import Commits, Journal
from qekm.api.paging import Paged, cut
from qekm.api.pairs import OwnPairs
from qekm.interchange.partner import holder_of
from qekm.model import Partner
from qekm.owners import Owners
from qekm.v1 import sharing_pb2 as pb
from qekm.v1.sharing_pb2_grpc import SharingServiceServicer


class SharingServicer(Exports, Imports, SharingServiceServicer):
    """Thin: the owner of the partners, the conversations with them."""

    def __init__(
        self, owners: Owners, store: Commits, journal: Journal, consents: Consents, pairs: OwnPairs
    ) -> None:
        self._partners, self._exporting, self._importing = (
            owners.partners,
            owners.exporting,
            owners.importing,
        )
        self._opened, self._consents, self._pairs = owners.opened, consents, pairs
        self._store, self._journal = store, journal

    async def GetCertificates(
        self, request: pb.GetCertificatesRequest, context: Any
    ) -> pb.GetCertificatesResponse:
        """Return our own certificates, and the fingerprint that a person tells."""
        pairs = await self._pairs.get("GetCertificates")
        return pb.GetCertificatesResponse(pem=pairs.pem, fingerprint=pairs.fingerprint)

    async def ListPartners(self, request: pb.ListPartnersRequest, context: Any) -> pb.ListPartnersResponse:
        """List partners by name."""
        page = Paged.of(request)
        found = self._partners.page(page.text, page.size + 1)
        rows, token = cut(page, found, lambda partner: partner.name)
        return pb.ListPartnersResponse(partners=map(_to_proto, rows), next_page_token=token)

    async def CreatePartner(self, request: pb.CreatePartnerRequest, context: Any) -> pb.CreatePartnerResponse:
        """Take a partner in; BadArgument, BadCertificate, PartnerExists."""
        confirmed = sized(request.fingerprint, (32,), "fingerprint")
        partner, changes = self._partners.create(request.name, request.pem.encode(), confirmed)
        what = f"partner {partner.name}, SHA-256 {partner.fingerprint.hex()}"
        await self._journal.commit("CreatePartner", changes, message=what)
        return pb.CreatePartnerResponse(partner=_to_proto(partner))

    async def DeletePartner(self, request: pb.DeletePartnerRequest, context: Any) -> pb.DeletePartnerResponse:
        """Remove a partner; UnknownPartner."""
        changes = self._partners.delete(request.name)
        await self._journal.commit("DeletePartner", changes, message=f"partner {request.name}")
        return pb.DeletePartnerResponse()


def _to_proto(partner: Partner) -> pb.Partner:
    return pb.Partner(
        name=partner.name,
        subject=holder_of(x509.load_der_x509_certificate(partner.certificate)),
        fingerprint=partner.fingerprint,
        signs=bool(partner.signer),
        expire_time=stamp(partner.expire_time_us),
        create_time=stamp(partner.create_time_us),
    )
