"""Certificates and requests, judged by the openssl command and by another verifier as well."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given, settings
from hypothesis import strategies as st

from qekm import keypair, pki
from qekm.errors import BadCertificate
from qekm.model import Role
from qekm.secret import Secret
from qekm.subject import Subject
from tests.fakes.pki import DAY_US, now_us

ESTATE = bytes(range(16))
OWN = keypair.make_key()
REQUEST = keypair.make_request(OWN)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@pytest.fixture(scope="module")
def issuer() -> pki.Issuer:
    """Return an authority."""
    return pki.make_issuer(ESTATE, now_us(), os.urandom)


def leaf_of(issuer: pki.Issuer, role: Role, days: int = 10) -> x509.Certificate:
    """Return a leaf of a role."""
    hosts = ("localhost",) if role in (Role.SERVER, Role.GATEWAY) else ()
    subject = Subject(ESTATE, role, "alice", hosts)
    return issuer.issue(subject, keypair.make_key().public_key(), now_us(), days, os.urandom)


def usages_of(leaf: x509.Certificate) -> set[x509.ObjectIdentifier]:
    """Return a certificate's extended key usages."""
    return set(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def openssl(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the openssl command."""
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=20, check=False)


def request_for(key: Any, algorithm: Any = hashes.SHA256()) -> bytes:  # noqa: B008
    """Return a request signed by any key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("role", "usages"),
    [(role, {CLIENT}) for role in Role if role < Role.GATEWAY]
    + [(Role.GATEWAY, {CLIENT, SERVER}), (Role.SERVER, {CLIENT, SERVER}), (Role.CANDIDATE, {CLIENT})],
)
def test_a_leaf_may_be_used_for_what_its_role_does(
    issuer: pki.Issuer, role: Role, usages: set[x509.ObjectIdentifier]
) -> None:
    assert usages_of(leaf_of(issuer, role)) == usages


def test_openssl_finds_authority_and_leaves_in_order(issuer: pki.Issuer, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(pki.pem(issuer.certificate))
    for role in Role:
        (tmp_path / "leaf.pem").write_bytes(pki.pem(leaf_of(issuer, role)))
        purpose = "sslserver" if role is Role.SERVER else "sslclient"
        done = openssl(
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-CAfile",
            tmp_path / "ca.pem",
            tmp_path / "leaf.pem",
        )
        assert done.returncode == 0, done.stderr


def test_the_web_profile_accepts_a_server(issuer: pki.Issuer) -> None:
    leaf = leaf_of(issuer, Role.SERVER)
    verifier = (
        PolicyBuilder().store(Store([issuer.certificate])).build_server_verifier(x509.DNSName("localhost"))
    )
    assert verifier.verify(leaf, []) == [leaf, issuer.certificate]


def test_serials_are_of_one_length_and_spelled_as_openssl_does(issuer: pki.Issuer, tmp_path: Path) -> None:
    leaves = [leaf_of(issuer, Role.OPERATOR) for _ in range(20)]
    assert len({pki.serial_of(leaf) for leaf in leaves}) == 20
    assert {len(pki.serial_of(leaf)) for leaf in leaves} == {32}
    (tmp_path / "leaf.pem").write_bytes(pki.pem(leaves[0]))
    told = openssl("x509", "-in", tmp_path / "leaf.pem", "-noout", "-serial").stdout
    assert told.strip().lower() == f"serial={pki.serial_of(leaves[0])}"


def test_a_leaf_is_valid_from_a_little_before_to_the_day(issuer: pki.Issuer) -> None:
    leaf = leaf_of(issuer, Role.AUDITOR, days=7)
    now = now_us()
    assert now - 6 * 60_000_000 < pki.start_us(leaf) < now
    assert now + 7 * DAY_US - 60_000_000 < pki.end_us(leaf) <= now + 7 * DAY_US


def test_no_leaf_outlives_its_authority(issuer: pki.Issuer) -> None:
    assert (
        leaf_of(issuer, Role.AUDITOR, days=5_000).not_valid_after_utc
        == issuer.certificate.not_valid_after_utc
    )


def test_an_authority_comes_back_from_its_vault(issuer: pki.Issuer) -> None:
    again = pki.Issuer.load(pki.der(issuer.certificate), issuer.dump_key())
    assert again.certificate == issuer.certificate
    assert again.key.public_key() == issuer.key.public_key()


def test_an_authority_with_another_ones_certificate_does_not(issuer: pki.Issuer) -> None:
    other = pki.make_issuer(ESTATE, now_us(), os.urandom)
    with pytest.raises(ValueError, match="not of its key"):
        pki.Issuer.load(pki.der(other.certificate), issuer.dump_key())
    with pytest.raises(ValueError):
        pki.Issuer.load(pki.der(other.certificate), Secret(b"no key"))


def test_an_authority_does_not_show_its_key(issuer: pki.Issuer) -> None:
    assert "key" not in repr(issuer).replace("EllipticCurvePublicKey", "")


def test_the_signers_certificate_is_a_server_and_no_identity(issuer: pki.Issuer) -> None:
    signer = issuer.issue_signer(keypair.make_key().public_key(), now_us(), os.urandom)
    assert usages_of(signer) == {SERVER}
    assert signer.subject.rfc4514_string() == "CN=Q-EKM server"
    with pytest.raises(x509.ExtensionNotFound):
        signer.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert len(pki.der(signer)) < 4_096


def test_a_drives_certificate_has_its_serial_once_and_is_no_identity(issuer: pki.Issuer) -> None:
    drive = issuer.issue_drive(keypair.make_key().public_key(), "QEKMDIAG0001", now_us(), 1, os.urandom)
    assert usages_of(drive) == {CLIENT}
    [serial] = drive.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    assert serial.value == "QEKMDIAG0001"
    with pytest.raises(x509.ExtensionNotFound):
        drive.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_who_trusts_the_old_authority_accepts_the_new_ones_leaf_with_the_cross(
    issuer: pki.Issuer, tmp_path: Path
) -> None:
    new = pki.make_issuer(ESTATE, now_us(), os.urandom)
    cross, leaf = issuer.cross_sign(new.certificate, os.urandom), leaf_of(new, Role.SERVER)
    for name, certificate in {
        "old": issuer.certificate,
        "new": new.certificate,
        "x": cross,
        "leaf": leaf,
    }.items():
        (tmp_path / f"{name}.pem").write_bytes(pki.pem(certificate))

    def verify(trusted: str, *more: str | Path) -> int:
        trust = ("-no-CApath", "-CAfile", tmp_path / f"{trusted}.pem")
        return openssl("verify", "-x509_strict", *trust, *more, tmp_path / "leaf.pem").returncode

    assert verify("new") == 0
    assert verify("old", "-untrusted", tmp_path / "x.pem") == 0
    assert verify("old") != 0  # negative control
    assert cross.not_valid_after_utc <= issuer.certificate.not_valid_after_utc


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(65537, 2048),
    ],
)
def test_a_request_yields_its_key(key: Any) -> None:
    assert pki.read_request(request_for(key)) == key.public_key()


def test_our_own_request_yields_its_key() -> None:
    key = keypair.make_key()
    assert pki.read_request(keypair.make_request(key)) == key.public_key()
    assert serialization.load_pem_private_key(keypair.dump_key(key), None) is not None


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (rsa.generate_private_key(65537, 1024), hashes.SHA256()),
        (ec.generate_private_key(ec.SECP521R1()), hashes.SHA256()),
        (ec.generate_private_key(ec.SECP256K1()), hashes.SHA256()),
        (dsa.generate_private_key(2048), hashes.SHA256()),
        # grpc's TLS offers no EdDSA: such a certificate could never be used.
        (ed25519.Ed25519PrivateKey.generate(), None),
        (ed448.Ed448PrivateKey.generate(), None),
    ],
    ids=["RSA-1024", "P-521", "secp256k1", "DSA", "Ed25519", "Ed448"],
)
def test_a_key_of_another_kind_is_refused(key: Any, algorithm: Any) -> None:
    with pytest.raises(BadCertificate, match="EC P-256"):
        pki.read_request(request_for(key, algorithm))


def signs_for(key: object, request: bytes) -> bool:
    """Tell whether a request is accepted; it must then be for this key (unused bits may change, no more)."""
    try:
        assert pki.read_request(request) == key
    except BadCertificate:
        return False
    return True


def test_a_request_without_possession_of_the_key_is_refused() -> None:
    accepted = 0
    for position in range(len(REQUEST)):
        bad = bytearray(REQUEST)
        bad[position] ^= 1
        accepted += signs_for(OWN.public_key(), bytes(bad))
    assert signs_for(OWN.public_key(), REQUEST) and accepted <= 1


@settings(max_examples=200)
@given(st.data())
def test_a_mangled_request_raises_nothing_else(data: st.DataObject) -> None:
    request = bytearray(REQUEST)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(request)))
        request[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    signs_for(OWN.public_key(), bytes(request))


@pytest.mark.parametrize(
    "junk", [b"", b"\x30", b"junk", bytes(100), bytes(16_385)], ids=["none", "head", "text", "zeros", "huge"]
)
def test_what_is_no_request_is_refused(junk: bytes) -> None:
    with pytest.raises(BadCertificate):
        pki.read_request(junk)


def test_a_pem_request_is_refused_and_said_to_be_der() -> None:
    key = keypair.make_key()
    request = x509.load_der_x509_csr(keypair.make_request(key))
    with pytest.raises(BadCertificate, match="DER"):
        pki.read_request(request.public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize("key", [x25519.X25519PrivateKey.generate().public_key(), None, b"key"])
def test_what_is_no_signing_key_is_refused(key: object) -> None:
    with pytest.raises(BadCertificate):
        keypair.check_key(key)


def test_two_authorities_of_one_estate_differ_in_name() -> None:
    names = {pki.make_issuer(ESTATE, now_us(), os.urandom).certificate.subject for _ in range(5)}
    assert len(names) == 5


def test_an_authority_lasts_ten_years(issuer: pki.Issuer) -> None:
    left = issuer.certificate.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=3_652) < left <= timedelta(days=3_653)
