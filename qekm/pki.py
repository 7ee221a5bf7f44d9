"""X.509 for the key manager's own links: its authority, the certificates it issues, requests. No I/O.

Profile (RFC 5280): the authority is EC P-256 and self-signed; leaves have the keys that their holders made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qekm.errors import BadCertificate
from qekm.keypair import PublicKey, check_key
from qekm.model import Role
from qekm.secret import Secret
from qekm.subject import Subject

LEAF_DAYS = 397  # what browsers and Apple's platforms accept at most; a year and a month to renew in
LEAF_DAYS_MAX = 825
AUTHORITY_DAYS = 3_653
SKEW_US = 5 * 60 * 1_000_000  # a leaf begins earlier: clocks of clients that are behind
_SKEW = timedelta(microseconds=SKEW_US)
_REQUEST_LENGTH = 16_384  # bytes; an RSA-8192 request has 2 KiB

RandomBytes = Callable[[int], bytes]

_CLIENT, _SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
_MAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION
_SIGNS, _ENCRYPTS = "digital_signature", "key_encipherment"
_USES = (
    _SIGNS,
    "content_commitment",
    _ENCRYPTS,
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
_BOTH = [_CLIENT, _SERVER]  # a gateway answers TLS on 3801, too, and a server calls its peers
_USAGES = {Role.SERVER: _BOTH, Role.GATEWAY: _BOTH}


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority that can sign: its certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def load(cls, certificate_der: bytes, key_der: Secret) -> Issuer:
        """Put an authority together again from its certificate and its key (PKCS#8), both DER.

        ValueError unless they belong together: only the key is sealed in the store.
        """
        key = serialization.load_der_private_key(key_der.reveal(), None)
        certificate = x509.load_der_x509_certificate(certificate_der)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
            raise ValueError("the authority's certificate is not of its key")
        return cls(certificate, key)

    def dump_key(self) -> Secret:
        """Return the private key, PKCS#8 DER, to be sealed."""
        form = serialization.PrivateFormat.PKCS8
        return Secret(self.key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption()))

    def issue(
        self, subject: Subject, public_key: PublicKey, now_us: int, days: int, random_bytes: RandomBytes
    ) -> x509.Certificate:
        """Sign a leaf; it ends with the authority at the latest. BadArgument names what cannot be written."""
        sans = subject.alternative_names
        # X.520 allows 64 bytes here, and nothing reads it.
        common = subject.name.encode()[:64].decode(errors="ignore")
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
        usages = _USAGES.get(subject.role, [_CLIENT])
        leaf = self._leaf(name, public_key, usages, now_us, days, random_bytes)
        return self._sign(leaf.add_extension(sans, critical=False))

    def issue_signer(self, public_key: PublicKey, now_us: int, random_bytes: RandomBytes) -> x509.Certificate:
        """Sign the certificate of the key that signs answers to drives (eAK, docs/protocol.md section 1).

        It has no SAN, so it is neither a host nor an identity on our own links.
        """
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Q-EKM server")])
        return self._sign(self._leaf(name, public_key, [_SERVER], now_us, AUTHORITY_DAYS, random_bytes))

    def issue_drive(
        self, public_key: PublicKey, serial: str, now_us: int, days: int, random_bytes: RandomBytes
    ) -> x509.Certificate:
        """Sign a drive certificate (dCERT), as the test drive of a diagnosis has one; no SAN, no identity."""
        name = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, serial)])
        return self._sign(self._leaf(name, public_key, [_CLIENT], now_us, days, random_bytes))

    def issue_sharing(
        self, public_key: PublicKey, now_us: int, random_bytes: RandomBytes, *, encrypts: bool
    ) -> x509.Certificate:
        """Sign a certificate for partners: of the key that they encrypt to, or of the key that we sign with.

        It names the estate; with no SAN it is no identity on our own links. Its extended usage is that which
        CMS tools ask of a signer.
        """
        common = "Q-EKM keys for this estate" if encrypts else "Q-EKM keys from this estate"
        estate = self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        name = x509.Name([*estate, x509.NameAttribute(NameOID.COMMON_NAME, common)])
        leaf = self._leaf(
            name, public_key, [_MAIL], now_us, AUTHORITY_DAYS, random_bytes, _ENCRYPTS if encrypts else _SIGNS
        )
        return self._sign(leaf)

    def cross_sign(self, new: x509.Certificate, random_bytes: RandomBytes) -> x509.Certificate:
        """Sign a newer authority's key: who trusts only this one then accepts what the newer one issues."""
        key = new.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        end = min(new.not_valid_after_utc, self.certificate.not_valid_after_utc)
        begun = _begun(new.subject, key, new.not_valid_before_utc, end, random_bytes)
        return self._sign(_authority_extensions(begun, key, path_length=0))

    def _leaf(
        self,
        name: x509.Name,
        public_key: PublicKey,
        usages: list[x509.ObjectIdentifier],
        now_us: int,
        days: int,
        random_bytes: RandomBytes,
        use: str = _SIGNS,
    ) -> x509.CertificateBuilder:
        start = _time(now_us)
        end = min(start + timedelta(days=days), self.certificate.not_valid_after_utc)
        return (
            _begun(name, public_key, start - _SKEW, end, random_bytes)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(use), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )

    def _sign(self, begun: x509.CertificateBuilder) -> x509.Certificate:
        own = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        named = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
        issued = begun.issuer_name(self.certificate.subject).add_extension(named, critical=False)
        return issued.sign(self.key, hashes.SHA256())


def make_issuer(estate: bytes, now_us: int, random_bytes: RandomBytes) -> Issuer:
    """Make an authority: a new P-256 key and its self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    # Two authorities of one estate must differ in name, so that a chain is found by name.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"Q-EKM estate {estate.hex()}"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Q-EKM authority {random_bytes(4).hex()}"),
        ]
    )
    start = _time(now_us)
    end = start + timedelta(days=AUTHORITY_DAYS)
    begun = _begun(name, key.public_key(), start - _SKEW, end, random_bytes).issuer_name(name)
    # Path length 1: below it stands a newer authority during a roll-over (cross_sign), and then its leaves.
    built = _authority_extensions(begun, key.public_key(), path_length=1)
    return Issuer(built.sign(key, hashes.SHA256()), key)


def read_request(der: bytes) -> PublicKey:
    """Return the public key of a PKCS#10 request after checking that the sender has the private one.

    BadCertificate for what is no request, a key of another kind than EC P-256, P-384 or RSA of 2048 to 8192
    bits, or a signature that does not fit. What the request says of its sender is not even read.
    """
    if len(der) > _REQUEST_LENGTH:
        raise BadCertificate(f"the request has {len(der)} bytes; the most is {_REQUEST_LENGTH}")
    try:
        request = x509.load_der_x509_csr(der)
        key = check_key(request.public_key())  # before any arithmetic with it
        fits = request.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion) as error:
        raise BadCertificate("the request is not a PKCS#10 request in DER that can be read") from error
    if not fits:
        raise BadCertificate("the request is not signed by the key that it names")
    return key


def serial_of(certificate: x509.Certificate) -> str:
    """Return a certificate's serial number, lower-case hex."""
    return f"{certificate.serial_number:032x}"


def start_us(certificate: x509.Certificate) -> int:
    """Return when a certificate's validity starts, in microseconds."""
    return int(certificate.not_valid_before_utc.timestamp()) * 1_000_000


def end_us(certificate: x509.Certificate) -> int:
    """Return when a certificate's validity ends, in microseconds."""
    return int(certificate.not_valid_after_utc.timestamp()) * 1_000_000


def fingerprint(certificate: x509.Certificate) -> bytes:
    """Return the SHA-256 of a certificate's DER."""
    return certificate.fingerprint(hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    """Return certificates one after the other, PEM."""
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def der(certificate: x509.Certificate) -> bytes:
    """Return a certificate's DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def _time(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC)


def _begun(
    name: x509.Name, key: PublicKey, start: datetime, end: datetime, random_bytes: RandomBytes
) -> x509.CertificateBuilder:
    # 126 random bits after a fixed 01: positive, and always 32 hex digits (RFC 5280, 4.1.2.2).
    serial = int.from_bytes(random_bytes(16)) & (1 << 126) - 1 | 1 << 126
    builder = x509.CertificateBuilder().subject_name(name).public_key(key).serial_number(serial)
    return builder.not_valid_before(start).not_valid_after(end)


def _authority_extensions(
    begun: x509.CertificateBuilder, key: PublicKey, path_length: int
) -> x509.CertificateBuilder:
    return (
        begun.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*uses: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{each: each in uses for each in _USES})
