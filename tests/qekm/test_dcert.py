"""Drive certificates: the profile, the chain, and what is remembered of them."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from qekm.dcert import DriveTrust, load_authority, time_us
from qekm.dkp.codes import Code, Fault
from qekm.errors import BadCertificate, StoreDamaged
from tests.fakes.drive_authority import CLIENT, SERVER, DriveAuthority

SERIAL = "001300000392"
NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
NOW_US = time_us(NOW)
DAY = dt.timedelta(days=1)
KEY = ec.generate_private_key(ec.SECP256R1())
PUBLIC = KEY.public_key()
ROOT = DriveAuthority()
TRUST = DriveTrust([ROOT.certificate])


def usage(**on: bool) -> x509.KeyUsage:
    names = [
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ]
    return x509.KeyUsage(**{name: on.get(name, False) for name in names})


def is_refused(chain: Sequence[bytes], trust: DriveTrust = TRUST, serial: str = SERIAL) -> bool:
    try:
        trust.check(chain, serial, NOW_US)
    except Fault as fault:
        assert fault.code is Code.EE2B
        return True
    return False


@pytest.mark.parametrize(
    "key",
    [KEY, ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)],
    ids=["P-256", "P-384", "RSA"],
)
def test_a_proper_certificate_gives_serial_key_and_hash(key: rsa.RSAPrivateKey) -> None:
    chain = ROOT.name(SERIAL, key.public_key())
    identity = TRUST.check(chain, SERIAL, NOW_US)
    assert identity.serial == SERIAL
    assert identity.certificate_sha256 == hashlib.sha256(chain[0]).digest()
    assert identity.spki_sha256 == identity.verifier.spki_sha256


def test_a_chain_that_was_proved_is_not_computed_again() -> None:
    chain = ROOT.name(SERIAL, PUBLIC)
    assert TRUST.check(chain, SERIAL, NOW_US) is TRUST.check(chain, SERIAL, NOW_US + 1)


def test_a_proved_chain_is_refused_when_its_time_is_over() -> None:
    chain = ROOT.name(SERIAL, PUBLIC, start=NOW - DAY, end=NOW + DAY)
    assert TRUST.check(chain, SERIAL, NOW_US)
    for later_us in (time_us(NOW + 2 * DAY), time_us(NOW - 2 * DAY)):
        with pytest.raises(Fault):
            TRUST.check(chain, SERIAL, later_us)


def test_a_proved_chain_is_refused_for_another_serial() -> None:
    chain = ROOT.name(SERIAL, PUBLIC)
    assert not is_refused(chain)
    assert is_refused(chain, serial="001310000363")


def test_nothing_proved_survives_a_changed_set_of_authorities() -> None:
    chain = ROOT.name(SERIAL, PUBLIC)
    assert not is_refused(chain)
    assert is_refused(chain, DriveTrust([DriveAuthority("Drives").certificate]))
    assert is_refused(chain, DriveTrust([]))


@pytest.mark.parametrize("serial", [SERIAL + " ", SERIAL[:-1], "0" + SERIAL])
def test_a_serial_must_be_equal_byte_for_byte(serial: str) -> None:
    assert is_refused(ROOT.name(serial, PUBLIC))


@pytest.mark.parametrize("serials", [(), (SERIAL, SERIAL), (SERIAL, "2")])
def test_a_subject_has_exactly_one_serial(serials: tuple[str, ...]) -> None:
    assert is_refused(ROOT.name(serials, PUBLIC))


@pytest.mark.parametrize(
    "purposes",
    [None, (SERVER,), (CLIENT, SERVER), (ExtendedKeyUsageOID.CODE_SIGNING,)],
    ids=["none", "server", "both", "another"],
)
def test_a_certificate_is_for_clients_and_not_for_servers(
    purposes: Sequence[x509.ObjectIdentifier] | None,
) -> None:
    assert is_refused(ROOT.name(SERIAL, PUBLIC, purposes))


@pytest.mark.parametrize(("start", "end"), [(NOW + DAY, NOW + 2 * DAY), (NOW - 2 * DAY, NOW - DAY)])
def test_a_certificate_that_is_not_yet_or_no_longer_valid_is_refused(
    start: dt.datetime, end: dt.datetime
) -> None:
    assert is_refused(ROOT.name(SERIAL, PUBLIC, start=start, end=end))


def test_key_usage_counts_where_it_is_present() -> None:
    assert not is_refused(ROOT.name(SERIAL, PUBLIC, extra=[usage(digital_signature=True)]))
    assert is_refused(ROOT.name(SERIAL, PUBLIC, extra=[usage(key_agreement=True)]))


def test_an_authority_is_no_drive() -> None:
    assert is_refused(ROOT.name(SERIAL, PUBLIC, extra=[x509.BasicConstraints(True, None)]))
    assert is_refused([ROOT.certificate])


def test_a_critical_extension_that_nobody_knows_is_refused() -> None:
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.2"), b"\x05\x00")
    assert is_refused(ROOT.name(SERIAL, PUBLIC, extra=[odd]))


def test_a_large_certificate_is_refused_and_the_largest_is_not() -> None:
    sizes = {len(ROOT.name(SERIAL, PUBLIC, filler=filler)[0]): filler for filler in range(3_600, 3_800)}
    assert not is_refused(ROOT.name(SERIAL, PUBLIC, filler=sizes[max(s for s in sizes if s <= 4_090)]))
    assert is_refused(ROOT.name(SERIAL, PUBLIC, filler=3_900))


@pytest.mark.parametrize(
    "junk", [b"", b"junk", b"\x30\x82\xff\xff", ROOT.certificate[:-1], ROOT.certificate + b"\0"]
)
def test_what_does_not_parse_is_refused(junk: bytes) -> None:
    assert is_refused([junk])
    assert is_refused([*ROOT.name(SERIAL, PUBLIC), junk])


def test_an_empty_chain_and_one_of_five_are_refused() -> None:
    assert is_refused([])
    assert is_refused([*ROOT.name(SERIAL, PUBLIC), *[ROOT.certificate] * 4])


def test_a_certificate_of_a_version_that_does_not_exist_is_refused_like_any_other_junk() -> None:
    chain = list(ROOT.name(SERIAL, PUBLIC))
    version_3, version_5 = bytes.fromhex("a003020102"), bytes.fromhex("a003020104")
    chain[0] = chain[0].replace(version_3, version_5, 1)
    assert is_refused(chain)
    with pytest.raises(BadCertificate):
        load_authority(ROOT.certificate.replace(version_3, version_5, 1), NOW_US)


def test_an_authority_with_a_name_of_a_kind_that_nobody_reads_is_refused() -> None:
    key = KEY
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "drives")])
    x400 = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("3002a300"))
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + 9 * DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    assert load_authority(
        builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER), NOW_US
    )  # the control
    builder = builder.add_extension(x400, critical=False)
    with pytest.raises(BadCertificate):
        load_authority(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER), NOW_US)


def test_a_stored_authority_that_is_no_certificate_is_damage() -> None:
    with pytest.raises(StoreDamaged):
        DriveTrust([b"junk"])


@pytest.mark.parametrize("exponent", [2**32 + 1, 2**2000 + 1, 4, 1])
def test_an_exponent_is_looked_at_before_it_is_computed_with(exponent: int) -> None:
    key = rsa.generate_private_key(65537, 2048)
    chain = list(ROOT.name(SERIAL, key.public_key()))
    altered = with_exponent(chain[0], exponent)
    for built in ([altered], [*ROOT.name(SERIAL, PUBLIC), altered]):  # the drive's key, and one above it
        with pytest.raises(Fault, match=r"exponent is not allowed|cannot be read"):
            TRUST.check(built, SERIAL, NOW_US)


def with_exponent(certificate: bytes, exponent: int) -> bytes:
    """Rebuild a certificate with another exponent; that its signature fails must not be found out."""
    loaded = x509.load_der_x509_certificate(certificate)
    public = loaded.public_key()
    assert isinstance(public, rsa.RSAPublicKey)
    numbers = public.public_numbers()
    integer = der(2, exponent.to_bytes(exponent.bit_length() // 8 + 1))
    modulus = der(2, b"\0" + numbers.n.to_bytes(256))
    old = der(0x30, modulus + der(2, b"\x01\x00\x01"))
    algorithm = bytes.fromhex("300d06092a864886f70d0101010500")
    old_spki = der(0x30, algorithm + der(3, b"\0" + old))
    new_spki = der(0x30, algorithm + der(3, b"\0" + der(0x30, modulus + integer)))
    tbs = loaded.tbs_certificate_bytes
    assert old_spki in tbs
    body = tbs[4:].replace(old_spki, new_spki)
    tail = certificate[4 + len(tbs) :]
    return der(0x30, der(0x30, body) + tail)


def der(tag: int, value: bytes) -> bytes:
    """Encode one DER element."""
    size = len(value)
    if size < 128:
        return bytes((tag, size)) + value
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + value


def test_intermediate_authorities_may_stand_between() -> None:
    middle = DriveAuthority("Middle", ROOT)
    low = DriveAuthority("Low", middle)
    assert not is_refused((*middle.name(SERIAL, PUBLIC), *middle.intermediates))
    assert not is_refused((*low.name(SERIAL, PUBLIC), *low.intermediates))
    assert not is_refused((*low.name(SERIAL, PUBLIC), *low.intermediates, ROOT.certificate))
    assert is_refused(low.name(SERIAL, PUBLIC))  # the middle is missing


def test_an_intermediate_without_the_right_to_sign_is_refused() -> None:
    for middle in (
        DriveAuthority("Middle", ROOT, ca=False),
        DriveAuthority("Middle", ROOT, ca=None),
        DriveAuthority("Middle", ROOT, usage=usage(digital_signature=True)),
        DriveAuthority("Middle", ROOT, end=NOW - DAY),
        DriveAuthority("Middle", DriveAuthority()),
    ):
        assert is_refused((*middle.name(SERIAL, PUBLIC), middle.certificate))


def test_another_drive_is_no_authority() -> None:
    """A drive's own key may not name drives: the certificate of one above another's."""
    ours = ROOT.name(SERIAL, PUBLIC)
    impostor = DriveAuthority("drive", key=KEY)
    impostor.subject = x509.load_der_x509_certificate(ours[0]).subject
    forged = impostor.name("001310000363", ec.generate_private_key(ec.SECP256R1()).public_key())
    assert is_refused([*forged, *ours], serial="001310000363")


def test_a_path_length_is_kept() -> None:
    short = DriveAuthority("Short", path_length=0)
    middle = DriveAuthority("Middle", short)
    trust = DriveTrust([short.certificate])
    assert not is_refused(short.name(SERIAL, PUBLIC), trust)
    assert is_refused((*middle.name(SERIAL, PUBLIC), *middle.intermediates), trust)


def test_an_authority_that_has_ended_proves_nothing() -> None:
    ended = DriveAuthority("Ended", end=NOW - DAY)
    assert is_refused(ended.name(SERIAL, PUBLIC), DriveTrust([ended.certificate]))


def test_an_authority_is_loaded_from_der_and_pem() -> None:
    found = load_authority(ROOT.certificate, NOW_US)
    pem = x509.load_der_x509_certificate(ROOT.certificate).public_bytes(Encoding.PEM)
    assert found == load_authority(pem, NOW_US)
    assert found.fingerprint == hashlib.sha256(ROOT.certificate).digest()
    assert (found.subject, found.create_time_us) == ("CN=Drives", NOW_US)


def test_what_is_no_authority_is_not_loaded() -> None:
    for certificate in (
        b"junk",
        b"-----BEGIN CERTIFICATE-----\n",
        ROOT.name(SERIAL, PUBLIC)[0],
        DriveAuthority(ca=False).certificate,
        DriveAuthority(end=NOW - DAY).certificate,
        DriveAuthority(key=ec.generate_private_key(ec.SECP521R1())).certificate,
    ):
        with pytest.raises(BadCertificate):
            load_authority(certificate, NOW_US)
