"""Organisations that exchange keys: an authority each, certificates below it, and any odd one."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from qekm.interchange.cms import Sender
from qekm.interchange.parcel import SharedKey
from qekm.secret import Secret

START, END = dt.datetime(2020, 1, 1, tzinfo=dt.UTC), dt.datetime(2060, 1, 1, tzinfo=dt.UTC)
NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
ESTATE = b"an estate's id.."
PrivateKey = Any  # RSA or EC, as a test likes


@cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the RSA key of this name; making one is slow."""
    del name
    return rsa.generate_private_key(65537, bits)


def usage(*names: str) -> x509.KeyUsage:
    """Return a key usage that allows just this."""
    every = [
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
    return x509.KeyUsage(**{each: each in names for each in every})


@dataclass(frozen=True)
class Identity:
    """A certificate with its key and what is between it and its root."""

    certificate: x509.Certificate
    key: PrivateKey
    intermediates: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Return the certificates, leaf first, without the root."""
        return self.certificate, *self.intermediates

    @property
    def fingerprint(self) -> bytes:
        """Return the SHA-256 of the certificate."""
        return self.certificate.fingerprint(hashes.SHA256())

    @property
    def sender(self) -> Sender:
        """Return who signs with this identity."""
        return Sender(self.chain, self.key)

    def pem(self) -> bytes:
        """Return the chain, PEM."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in self.chain)

    def key_pem(self) -> bytes:
        """Return the private key, PEM."""
        return bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    def issue(
        self,
        name: str,
        key: PrivateKey = None,
        *,
        ca: bool | None = False,
        uses: Sequence[str] | None = None,
        start: dt.datetime = START,
        end: dt.datetime = END,
        extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> Identity:
        """Issue a certificate below this one."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        built = _build(name, key, self.certificate.subject, ca, uses, start, end, extra)
        above = () if _is_root(self) else self.chain
        return Identity(built.sign(self.key, hashes.SHA256()), key, above)


def root(name: str, key: PrivateKey = None, **options: Any) -> Identity:
    """Return a self-signed authority, or another self-signed certificate with ca=False or None."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    options = {"ca": True, "uses": None, "start": START, "end": END, "extra": ()} | options
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return Identity(_build(name, key, subject, **options).sign(key, hashes.SHA256()), key)


def make_keys(count: int) -> list[SharedKey]:
    """Return keys as a key manager makes them."""
    return [
        SharedKey(f"QKM00{number:016X}", Secret(os.urandom(32)), "default", NOW_US - number)
        for number in range(count)
    ]


def told(keys: Sequence[SharedKey]) -> list[tuple[str, bytes, str, int]]:
    """Return all that keys are, to be compared."""
    return [(key.alias, key.material.reveal(), key.group, key.create_time_us) for key in keys]


def _is_root(identity: Identity) -> bool:
    return identity.certificate.issuer == identity.certificate.subject


def _build(
    name: str,
    key: PrivateKey,
    issuer: x509.Name,
    ca: bool | None,
    uses: Sequence[str] | None,
    start: dt.datetime,
    end: dt.datetime,
    extra: Sequence[tuple[x509.ExtensionType, bool]],
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    public, serial = key.public_key(), x509.random_serial_number()
    builder = x509.CertificateBuilder(issuer, subject, public, serial, start, end)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    if uses is not None:
        builder = builder.add_extension(usage(*uses), critical=True)
    for value, critical in extra:
        builder = builder.add_extension(value, critical)
    return builder
