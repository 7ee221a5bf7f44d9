"""Partners: taken in by a certificate that a person confirmed, told apart by what they sign with."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from qekm.errors import BadArgument, BadCertificate, PartnerExists, UnknownPartner
from qekm.model import Partner, Removal
from qekm.partners import Partners
from qekm.pki import der, end_us, pem
from tests.qekm.interchange.organisation import NOW, NOW_US, Identity, root, rsa_key

ACME = root("Acme", uses=["key_cert_sign"])
NAMED = [(x509.AuthorityKeyIdentifier.from_issuer_public_key(ACME.key.public_key()), False)]
RECEIVER = ACME.issue("Keys for Acme", rsa_key("acme"), uses=["key_encipherment"], extra=NAMED)
SIGNER = ACME.issue("Keys from Acme", uses=["digital_signature"], end=NOW.replace(year=2031), extra=NAMED)
OTHER = ACME.issue("Keys for another", rsa_key("other"), uses=["key_encipherment"], extra=NAMED)
FILE = pem(RECEIVER.certificate, SIGNER.certificate, ACME.certificate)


def owner(*stored: Partner) -> Partners:
    """Return the owner."""
    return Partners(stored, lambda: NOW_US)


def taken_in(partners: Partners, name: str = "acme", file: bytes = FILE, of: Identity = RECEIVER) -> Partner:
    """Take a partner in whose first certificate is somebody's."""
    partner, changes = partners.create(name, file, of.fingerprint)
    assert changes == [partner]
    return partner


def test_a_partner_is_kept_with_both_certificates_until_the_first_of_them_ends() -> None:
    partners = owner()
    partner = taken_in(partners)
    assert (partner.certificate, partner.signer) == (der(RECEIVER.certificate), der(SIGNER.certificate))
    assert (partner.fingerprint, partner.create_time_us) == (RECEIVER.fingerprint, NOW_US)
    assert partner.expire_time_us == end_us(SIGNER.certificate)
    assert partners.find("acme") is partner
    assert partners.page() == [partner]
    assert owner(partner).sender(SIGNER.certificate) == partner
    assert partners.recipient(partner) == RECEIVER.certificate


def test_who_only_receives_signs_nothing_that_we_take() -> None:
    partners = owner()
    partner = taken_in(partners, file=pem(RECEIVER.certificate, ACME.certificate))
    assert partner.signer == b""
    for nobody in (SIGNER, RECEIVER, ACME):
        with pytest.raises(BadCertificate, match="no partner signed it, but CN="):
            partners.sender(nobody.certificate)


def test_no_two_partners_share_a_name_or_a_certificate() -> None:
    partners = owner()
    taken_in(partners)
    with pytest.raises(PartnerExists, match="'acme' already"):
        taken_in(partners, file=pem(OTHER.certificate), of=OTHER)
    with pytest.raises(PartnerExists, match="'acme' has this certificate"):
        taken_in(partners, "again")
    with pytest.raises(PartnerExists, match="'acme' has this certificate"):
        file = pem(OTHER.certificate, SIGNER.certificate, ACME.certificate)
        taken_in(partners, "same-signer", file, OTHER)
    taken_in(partners, "receiver", pem(OTHER.certificate), OTHER)
    assert [partner.name for partner in partners.page()] == ["acme", "receiver"]
    assert [partner.name for partner in partners.page("acme", 1)] == ["receiver"]


def test_a_partner_that_is_removed_is_unknown_and_may_come_back() -> None:
    partners = owner()
    taken_in(partners)
    assert partners.delete("acme") == [Removal(Partner, "acme")]
    for ask in (partners.find, partners.delete):
        with pytest.raises(UnknownPartner):
            ask("acme")
    with pytest.raises(BadCertificate):
        partners.sender(SIGNER.certificate)
    taken_in(partners)


@pytest.mark.parametrize("name", ["", "with space", "x" * 65, "tab\t", "ü"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(BadArgument):
        taken_in(owner(), name)


def test_what_a_person_did_not_confirm_or_is_no_certificate_is_not_taken_in() -> None:
    partners = owner()
    with pytest.raises(BadCertificate, match="not the one that was confirmed"):
        partners.create("acme", FILE, OTHER.fingerprint)
    for file in (b"", b"-----BEGIN CERTIFICATE-----\n", FILE[:200]):
        with pytest.raises(BadCertificate):
            partners.create("acme", file, RECEIVER.fingerprint)
    assert partners.page() == []


def test_certificates_that_have_ended_since_end_the_exchange() -> None:
    now = [NOW_US]
    partners = Partners((), lambda: now[0])
    partner = taken_in(partners)
    now[0] = end_us(SIGNER.certificate) + 1_000_000
    with pytest.raises(BadCertificate, match="ended on 2031"):
        partners.sender(SIGNER.certificate)
    assert partners.recipient(partner)
    now[0] = end_us(RECEIVER.certificate) + 1_000_000
    with pytest.raises(BadCertificate, match="ended on 2060"):
        partners.recipient(partner)


def test_der_has_room_for_one_certificate() -> None:
    partners = owner()
    file = RECEIVER.certificate.public_bytes(Encoding.DER)
    assert taken_in(partners, file=file).signer == b""
