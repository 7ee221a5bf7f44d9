"""Throw-away drives and servers: a signing key, its certificate, and the authority that signed it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qekm.dkp.signed import SignatureType

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2126, 1, 1, tzinfo=dt.UTC)  # vectors do not age


@dataclass(frozen=True, slots=True)
class Actor:
    """One side of a session."""

    key: PrivateKey
    chain: tuple[bytes, ...]

    @property
    def spki_sha256(self) -> bytes:
        """Return the SHA-256 of the public key: for a server, the anchor."""
        form = PublicFormat.SubjectPublicKeyInfo
        return sha256(self.key.public_key().public_bytes(Encoding.DER, form)).digest()

    @property
    def sig_type(self) -> SignatureType:
        """Return the signature type that fits the key."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return SignatureType.RSA_PSS_SHA256
        p384 = isinstance(self.key.curve, ec.SECP384R1)
        return SignatureType.ECDSA_P384 if p384 else SignatureType.ECDSA_P256

    @property
    def sig_length(self) -> int:
        """Return how long signatures are."""
        rsa_key = isinstance(self.key, rsa.RSAPrivateKey)
        return self.key.key_size // 8 if rsa_key else 2 * ((self.key.key_size + 7) // 8)

    def sign(self, message: bytes) -> bytes:
        """Return a signature as section 7 wants it."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            sha = hashes.SHA256()
            return self.key.sign(message, padding.PSS(padding.MGF1(sha), 32), sha)
        size = self.sig_length // 2
        algorithm = ec.ECDSA(hashes.SHA384() if size == 48 else hashes.SHA256())
        r, s = decode_dss_signature(self.key.sign(message, algorithm))
        return r.to_bytes(size) + s.to_bytes(size)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority of one level."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        """Return its certificate."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def actor(self, key: PrivateKey, subject: x509.Name, usage: x509.ObjectIdentifier) -> Actor:
        """Return an actor with a certificate from this authority."""
        builder = _builder(subject, self.certificate.subject, key)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return Actor(key, (builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER),))

    def drive(self, serial: str, key: PrivateKey) -> Actor:
        """Return a drive."""
        subject = x509.Name([x509.NameAttribute(NameOID.SERIAL_NUMBER, serial)])
        return self.actor(key, subject, ExtendedKeyUsageOID.CLIENT_AUTH)

    def server(self, name: str) -> Actor:
        """Return a server with a key of its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self.actor(key, _name(name), ExtendedKeyUsageOID.SERVER_AUTH)


def make_authority(name: str) -> Authority:
    """Make an authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_name(name), _name(name), key)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return Authority(key, builder.sign(key, hashes.SHA256()))


def _builder(subject: x509.Name, issuer: x509.Name, key: PrivateKey) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    return builder.not_valid_before(START).not_valid_after(END)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
