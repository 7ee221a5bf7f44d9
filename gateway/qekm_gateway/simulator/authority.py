"""Make drives: an authority that names them, their certificates, their keys (docs/protocol.md, section 1)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.signatures import PrivateKey, Signer

_SKEW = dt.timedelta(hours=1)
_LIFE = dt.timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority for drives, with its private key."""

    certificate: x509.Certificate
    private: ec.EllipticCurvePrivateKey

    def issue(self, serial: str, private: PrivateKey, now_us: int) -> bytes:
        """Return a dCERT, DER: one subject serialNumber that equals the drive serial, clientAuth alone."""
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, "Simulated tape drive"),
                x509.NameAttribute(NameOID.SERIAL_NUMBER, serial),
            ]
        )
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        constraints = x509.BasicConstraints(ca=False, path_length=None)
        builder = _begin(subject, self.certificate.subject, private, now_us)
        builder = builder.add_extension(constraints, critical=True).add_extension(usage, critical=False)
        return builder.sign(self.private, hashes.SHA256()).public_bytes(Encoding.DER)


def make_authority(now_us: int, name: str = "Drive authority of a simulated library") -> Authority:
    """Make a self-signed authority, P-256, that signs drives and nothing deeper."""
    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = _begin(subject, subject, private, now_us)
    builder = builder.add_extension(constraints, critical=True).add_extension(usage, critical=True)
    return Authority(builder.sign(private, hashes.SHA256()), private)


def make_drive(
    authority: Authority, serial: str, now_us: int, wwnn: bytes = b"", rsa_key: bool = False
) -> Drive:
    """Make a drive: authentication key (P-256, or RSA-2048), certificate for its serial, session key."""
    private: PrivateKey = ec.generate_private_key(ec.SECP256R1())
    if rsa_key:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    certificate = authority.issue(serial, private, now_us)
    drive = Drive(serial, wwnn or wwnn_of(serial), Signer(private), (certificate,))
    drive.current_session_key(now_us)
    return drive


def wwnn_of(serial: str) -> bytes:
    """Return a world-wide node name for a drive that has none: NAA 5, a company, 32 bits of its own."""
    return b"\x50\x03\x08\xc0" + sha256(serial.encode()).digest()[:4]


def _begin(
    subject: x509.Name, issuer: x509.Name, private: PrivateKey, now_us: int
) -> x509.CertificateBuilder:
    now = dt.datetime.fromtimestamp(now_us // 1_000_000, dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LIFE)
    )
