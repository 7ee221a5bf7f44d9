"""Reading who is at the other end."""

from __future__ import annotations

from pathlib import Path

import pytest

from qekm import pki as certificates
from qekm.errors import UnknownIdentity
from qekm.model import Role
from qekm.rpc.identity import Identity, peer_certificate, read_passport
from tests.fakes.pki import DAY_US, Pki, now_us


def test_a_passport_tells_identity_estate_and_validity(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "home")
    files = pki.issue(Role.CUSTODIAN, "käthe müller", days=3)
    passport = read_passport(files.certificate.read_bytes())
    assert passport.identity == Identity(Role.CUSTODIAN, "käthe müller", pki.serial("käthe müller"))
    assert passport.identity.actor == "custodian/käthe müller"
    assert passport.estate == pki.estate
    assert passport.start_us < now_us() < passport.end_us <= now_us() + 3 * DAY_US


def test_only_the_first_certificate_of_a_chain_counts(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "home")
    leaf = pki.home.certificate("administrator").read_bytes()
    assert read_passport(leaf + certificates.pem(pki.issuer.certificate)) == read_passport(leaf)


@pytest.mark.parametrize(
    "junk", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_what_cannot_be_read_is_nobody(junk: bytes) -> None:
    with pytest.raises(UnknownIdentity):
        read_passport(junk)


def test_an_authority_is_nobody(tmp_path: Path) -> None:
    with pytest.raises(UnknownIdentity):
        read_passport(certificates.pem(Pki(tmp_path / "home").issuer.certificate))


def test_a_link_without_certificates_has_no_peer() -> None:
    assert peer_certificate({}) is None
    assert peer_certificate({"transport_security_type": [b"insecure"], "x509_pem_cert": []}) is None
    assert peer_certificate({"x509_pem_cert": [b"pem"], "x509_common_name": [b"administrator"]}) == b"pem"
