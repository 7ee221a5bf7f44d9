"""A throw-away authority and a certificate for localhost, as files."""

from __future__ import annotations

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def write_pki(folder: Path, *names: str) -> str:
    """Write trust.pem, and NAME.pem and NAME.key for each name; return the last serial in hex."""
    authority = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)

    def begun(subject: str, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name("test authority"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
        )

    root = begun("test authority", authority.public_key())
    root = root.add_extension(x509.BasicConstraints(True, 0), critical=True)
    hosts = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    pem = serialization.Encoding.PEM
    (folder / "trust.pem").write_bytes(root.sign(authority, hashes.SHA256()).public_bytes(pem))
    for name in names or ("gateway",):
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = begun(name, key.public_key()).add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        signed = leaf.sign(authority, hashes.SHA256())
        (folder / f"{name}.pem").write_bytes(signed.public_bytes(pem))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )
    return f"{signed.serial_number:X}"
