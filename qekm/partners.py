"""Own the partners: other organisations that keys are given to and taken from. Memory only."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cryptography import x509

from qekm.errors import BadArgument, BadCertificate, PartnerExists, UnknownPartner
from qekm.interchange.partner import check_partner, check_sender, find_signer, holder_of
from qekm.model import Change, Partner, Removal
from qekm.pki import der, end_us, fingerprint

MAX_NAME = 64


class Partners:
    """The partners by name; no two of one certificate, so that who sent a file is never in doubt."""

    def __init__(self, stored: Iterable[Partner], now_us: Callable[[], int]) -> None:
        self._partners = {partner.name: partner for partner in stored}
        self._now_us = now_us

    def find(self, name: str) -> Partner:
        """Return a partner; UnknownPartner."""
        partner = self._partners.get(name)
        if partner is None:
            raise UnknownPartner(f"there is no partner {name[:MAX_NAME]!r}", partner=name[:MAX_NAME])
        return partner

    def page(self, after_name: str = "", limit: int = 100) -> list[Partner]:
        """Return at most `limit` partners in order of their names that follow `after_name`."""
        return [self._partners[name] for name in sorted(self._partners) if name > after_name][:limit]

    def create(self, name: str, pem: bytes, confirmed: bytes) -> tuple[Partner, list[Change]]:
        """Take a partner in; confirmed: the SHA-256 of the first certificate, as a person heard it.

        BadArgument for a name, BadCertificate, PartnerExists.
        """
        if not (1 <= len(name) <= MAX_NAME and name.isascii() and name.isprintable() and " " not in name):
            raise BadArgument(
                f"a partner's name has 1 to {MAX_NAME} printable ASCII characters without spaces",
                field="name",
            )
        now_us = self._now_us()
        first = check_partner(pem, now_us, (), confirmed)
        signer = find_signer(pem, now_us)
        holder_of(first)
        ends = [end_us(each) for each in (first, signer) if each is not None]
        own = der(first), fingerprint(first), der(signer) if signer is not None else b""
        partner = Partner(name, *own, min(ends), now_us)
        self._check_new(partner)
        self._partners[name] = partner
        return partner, [partner]

    def delete(self, name: str) -> list[Change]:
        """Remove a partner; UnknownPartner."""
        del self._partners[self.find(name).name]
        return [Removal(Partner, name)]

    def recipient(self, partner: Partner) -> x509.Certificate:
        """Return the certificate that a partner's keys are encrypted to; BadCertificate once it has ended."""
        return check_partner(partner.certificate, self._now_us(), (), partner.fingerprint)

    def sender(self, signer: x509.Certificate) -> Partner:
        """Return who signs with a certificate; BadCertificate for nobody's, and for one that has ended."""
        own = der(signer)
        partner = next((each for each in self._partners.values() if each.signer == own), None)
        if partner is None:
            who = f"{holder_of(signer)}, SHA-256 {fingerprint(signer).hex()}"
            hint = "take the sender in as a partner first: qekm certificates import"
            raise BadCertificate(f"no partner signed it, but {who}", hint=hint)
        check_sender([signer], self._now_us(), (), (fingerprint(signer),))
        return partner

    # What other servers have changed: nothing of it is refused.

    def take(self, partner: Partner) -> list[str]:
        """Put a partner in the place of the one of its name; return whose names go for it.

        Two that are one organisation, taken in at two servers apart, are one everywhere: the first by name.
        """
        same = [each.name for each in self._partners.values() if each.fingerprint == partner.fingerprint]
        names = sorted({*same, partner.name})
        if names[0] == partner.name:
            self._partners[partner.name] = partner
        for name in names[1:]:
            self._partners.pop(name, None)
        return names[1:]

    def drop(self, name: str) -> None:
        """Forget a partner, if it is there."""
        self._partners.pop(name, None)

    def _check_new(self, partner: Partner) -> None:
        signers = {partner.signer} - {b""}
        for each in self._partners.values():
            if each.name == partner.name:
                raise PartnerExists(f"there is a partner {each.name!r} already", partner=each.name)
            if each.fingerprint == partner.fingerprint or each.signer in signers:
                raise PartnerExists(f"partner {each.name!r} has this certificate already", partner=each.name)
