"""A partner's certificate is accepted for one of two reasons and refused with the one that counts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from qekm.errors import BadCertificate
from qekm.interchange.partner import MAX_FILE, check_partner, check_sender, find_signer, holder_of
from tests.qekm.interchange.organisation import NOW, NOW_US, Identity, root, rsa_key

DAY = dt.timedelta(days=1)
KEY = rsa_key("partner")
ROOT = root("Partners", uses=["key_cert_sign"])
BETWEEN = ROOT.issue("Between", ca=True, uses=["key_cert_sign"])
AUTHORITIES = [root("Another").certificate, ROOT.certificate]
DIRECT = ROOT.issue("Direct", KEY, uses=["key_encipherment"])
BELOW = BETWEEN.issue("Below", KEY)
OWN = root("Self-signed", KEY, ca=None)
CRITICAL = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")


def accept(
    partner: Identity, authorities: Sequence[x509.Certificate] = AUTHORITIES, confirmed: bytes | None = None
) -> x509.Certificate:
    return check_partner(partner.pem(), NOW_US, authorities, confirmed)


# The chain.


@pytest.mark.parametrize("partner", [DIRECT, BELOW, ROOT.issue("RSA-4096", rsa_key("long", 4096))])
def test_a_certificate_below_a_trusted_authority_is_accepted(partner: Identity) -> None:
    assert accept(partner) == partner.certificate


def test_der_is_read_as_well_as_pem() -> None:
    data = DIRECT.certificate.public_bytes(Encoding.DER)
    assert check_partner(data, NOW_US, AUTHORITIES) == DIRECT.certificate


CHAINS = {
    "no authority": (DIRECT, []),
    "another authority": (DIRECT, AUTHORITIES[:1]),
    "self-signed": (OWN, AUTHORITIES),
    "a link is missing": (Identity(BELOW.certificate, KEY), AUTHORITIES),
    "another authority of the same name": (root("Partners").issue("x", KEY), AUTHORITIES),
    "below no authority": (ROOT.issue("Leaf").issue("x", KEY), AUTHORITIES),
    "below one without constraints": (ROOT.issue("Leaf", ca=None).issue("x", KEY), AUTHORITIES),
    "below one that may not": (ROOT.issue("CA", ca=True, uses=["crl_sign"]).issue("x", KEY), AUTHORITIES),
    "below one that ended": (ROOT.issue("CA", ca=True, end=NOW - DAY).issue("x", KEY), AUTHORITIES),
    "below one that is not yet": (ROOT.issue("CA", ca=True, start=NOW + DAY).issue("x", KEY), AUTHORITIES),
    "an extension that nobody knows": (ROOT.issue("x", KEY, extra=[(CRITICAL, True)]), AUTHORITIES),
}


@pytest.mark.parametrize(("partner", "authorities"), CHAINS.values(), ids=CHAINS.keys())
def test_a_chain_that_does_not_lead_to_a_trusted_authority_is_refused(
    partner: Identity, authorities: list[x509.Certificate]
) -> None:
    with pytest.raises(BadCertificate, match="authorities trusted for partners") as refused:
        accept(partner, authorities)
    assert partner.fingerprint.hex(":").upper() in refused.value.advice


def test_an_authority_counts_only_in_its_time() -> None:
    ended = root("Ended", end=NOW - DAY)
    with pytest.raises(BadCertificate, match="authorities"):
        accept(ended.issue("x", KEY), [ended.certificate])


# The fingerprint.


@pytest.mark.parametrize("partner", [OWN, DIRECT, root("An authority of its own", KEY)])
def test_a_certificate_whose_fingerprint_a_person_confirmed_is_accepted_without_a_chain(
    partner: Identity,
) -> None:
    assert accept(partner, [], partner.fingerprint) == partner.certificate


@pytest.mark.parametrize(
    "confirmed", [b"", bytes(32), DIRECT.fingerprint[:31], BELOW.fingerprint], ids=range(4)
)
def test_another_fingerprint_than_the_confirmed_one_is_refused_though_the_chain_be_good(
    confirmed: bytes,
) -> None:
    with pytest.raises(BadCertificate, match=r"fingerprint is not .*: SHA-256 ([0-9A-F]{2}:){31}"):
        accept(DIRECT, AUTHORITIES, confirmed)


# What counts in both cases.

FLAWED = {
    "EC": (ROOT.issue("x"), "not RSA"),
    "Ed25519": (OWN, "none of EC"),
    "short": (ROOT.issue("x", rsa_key("short", 1024)), "2048 to 8192"),
    "for signatures": (ROOT.issue("x", KEY, uses=["digital_signature"]), "key encipherment"),
    "ended": (ROOT.issue("x", KEY, end=NOW - DAY), "ended on 2029-12-31"),
    "not yet": (ROOT.issue("x", KEY, start=NOW + DAY), "begins on 2030-01-02"),
}
FLAWED["Ed25519"] = (
    Identity(ROOT.issue("x", ed25519.Ed25519PrivateKey.generate()).certificate, None),
    "none of EC",
)


@pytest.mark.parametrize(("partner", "reason"), FLAWED.values(), ids=FLAWED.keys())
def test_a_flaw_is_named_and_neither_chain_nor_fingerprint_makes_up_for_it(
    partner: Identity, reason: str
) -> None:
    for confirmed in (None, partner.fingerprint):
        with pytest.raises(BadCertificate, match=reason):
            accept(partner, AUTHORITIES, confirmed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no certificate",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        DIRECT.certificate.public_bytes(Encoding.DER)[:-1],
        DIRECT.key_pem(),
        DIRECT.pem() + b"\n" * MAX_FILE,
    ],
    ids=["empty", "text", "broken PEM", "cut off", "a private key", "large"],
)
def test_a_file_without_a_certificate_is_refused(data: bytes) -> None:
    with pytest.raises(BadCertificate):
        check_partner(data, NOW_US, AUTHORITIES)


def test_no_flipped_bit_changes_what_a_certificate_says(capsys: pytest.CaptureFixture[str]) -> None:
    """A bit string's count of unused bits is one of its bytes; that of the signature is read, and ignored."""
    data, same = DIRECT.certificate.public_bytes(Encoding.DER), 0
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            accepted = check_partner(bytes(flipped), NOW_US, AUTHORITIES)
        except BadCertificate:
            continue
        assert accepted.tbs_certificate_bytes == DIRECT.certificate.tbs_certificate_bytes
        same += 1
    with capsys.disabled():
        print(f"\nbits flipped in a certificate of {len(data)} bytes: {same} accepted, saying the same")
    assert same <= 7


# Senders.


@pytest.mark.parametrize(
    "sender",
    [
        ROOT.issue("EC", uses=["digital_signature"]),
        BETWEEN.issue("RSA", KEY),
        ROOT.issue("x", uses=["content_commitment"]),
    ],
)
def test_a_sender_is_accepted_for_its_chain_or_its_fingerprint(sender: Identity) -> None:
    check_sender(sender.chain, NOW_US, AUTHORITIES)
    check_sender(sender.chain[:1], NOW_US, [], {sender.fingerprint, OWN.fingerprint})


@pytest.mark.parametrize(
    ("sender", "reason"),
    [
        (root("x"), "authorities"),
        (ROOT.issue("x", uses=["key_encipherment"]), "may not sign"),
        (ROOT.issue("x", end=NOW - DAY), "ended"),
        (ROOT.issue("x", ec.generate_private_key(ec.SECP521R1())), "none of EC"),
    ],
    ids=["stranger", "usage", "ended", "P-521"],
)
def test_a_sender_with_a_flaw_is_refused(sender: Identity, reason: str) -> None:
    with pytest.raises(BadCertificate, match=reason):
        check_sender(sender.chain, NOW_US, AUTHORITIES, {OWN.fingerprint})


# The certificate that signs.


def with_key_id(authority: Identity) -> list[tuple[x509.ExtensionType, bool]]:
    """Return the extension by which a certificate names its authority's key."""
    public = authority.key.public_key()
    return [(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), False)]


NAMED = with_key_id(ROOT)
RECEIVER = ROOT.issue("Receiver", KEY, uses=["key_encipherment"], extra=NAMED)
SIGNER = ROOT.issue("Signer", uses=["digital_signature"], extra=NAMED)
TWIN = root("Partners", uses=["key_cert_sign"])  # another key under the name of the authority


def file_of(*identities: Identity) -> bytes:
    return b"".join(each.certificate.public_bytes(Encoding.PEM) for each in identities)


def test_the_second_certificate_signs_if_the_authority_of_the_first_issued_it() -> None:
    assert find_signer(file_of(RECEIVER, SIGNER, ROOT), NOW_US) == SIGNER.certificate
    assert find_signer(file_of(RECEIVER, SIGNER, BETWEEN, ROOT), NOW_US) == SIGNER.certificate


def test_a_partner_with_one_certificate_signs_with_it_if_that_is_allowed() -> None:
    for both in (OWN, ROOT.issue("Both", KEY, uses=["key_encipherment", "digital_signature"])):
        assert find_signer(file_of(both), NOW_US) == both.certificate
        assert find_signer(file_of(both, ROOT), NOW_US) == both.certificate
    assert find_signer(file_of(RECEIVER), NOW_US) is None
    assert find_signer(file_of(RECEIVER, ROOT), NOW_US) is None


FOREIGN = {
    "no authority in the file": (RECEIVER, SIGNER),
    "another authority": (RECEIVER, TWIN.issue("x", extra=with_key_id(TWIN)), ROOT, TWIN),
    "an authority of the same name": (RECEIVER, TWIN.issue("x", extra=with_key_id(TWIN)), TWIN),
    "another's key named": (RECEIVER, TWIN.issue("x", extra=NAMED), TWIN),
    "no key named": (RECEIVER, ROOT.issue("x"), ROOT),
    "the authority is none": (RECEIVER, SIGNER, SIGNER),
    "the first is somebody else's": (OWN, SIGNER, ROOT),
}


@pytest.mark.parametrize("identities", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_signer_whom_the_confirmed_certificate_does_not_vouch_for_is_refused(
    identities: tuple[Identity, ...],
) -> None:
    """Whoever forwards the file could add a certificate of their own: nobody compared its fingerprint."""
    with pytest.raises(BadCertificate, match="not of the authority that issued the first"):
        find_signer(file_of(*identities), NOW_US)


def test_a_signer_that_may_not_sign_or_has_ended_is_refused() -> None:
    idle = ROOT.issue("x", uses=["key_agreement"], extra=NAMED)
    with pytest.raises(BadCertificate, match="may not sign"):
        find_signer(file_of(RECEIVER, idle, ROOT), NOW_US)
    ended = ROOT.issue("x", uses=["digital_signature"], end=NOW - DAY, extra=NAMED)
    with pytest.raises(BadCertificate, match="ended on"):
        find_signer(file_of(RECEIVER, ended, ROOT), NOW_US)


def test_a_certificate_says_whom_it_names() -> None:
    assert holder_of(RECEIVER.certificate) == "CN=Receiver"
