"""A drive authority and its certificates, proper ones and any odd one that a test wants refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
START = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2060, 1, 1, tzinfo=dt.UTC)
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class DriveAuthority:
    """A certificate authority; `under` makes it an intermediate one."""

    def __init__(
        self,
        name: str = "Drives",
        under: DriveAuthority | None = None,
        path_length: int | None = None,
        ca: bool | None = True,
        key: PrivateKey | None = None,
        end: dt.datetime = END,
        usage: x509.KeyUsage | None = None,
    ) -> None:
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(
            self.subject, under.subject if under else self.subject, self.key.public_key(), START, end
        )
        if ca is not None:
            constraints = x509.BasicConstraints(ca, path_length if ca else None)
            builder = builder.add_extension(constraints, critical=True)
        if usage is not None:
            builder = builder.add_extension(usage, critical=True)
        signer = under.key if under else self.key
        self.certificate = builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.DER)
        self.intermediates: tuple[bytes, ...] = (
            (self.certificate, *under.intermediates) if under is not None else ()
        )

    def name(
        self,
        serial: str | Sequence[str],
        public: PublicKey,
        purposes: Sequence[x509.ObjectIdentifier] | None = (CLIENT,),
        start: dt.datetime = START,
        end: dt.datetime = END,
        filler: int = 0,
        extra: Sequence[x509.ExtensionType] = (),
    ) -> tuple[bytes]:
        """Return a drive's certificate, as the beginning of a chain."""
        serials = [serial] if isinstance(serial, str) else serial
        attributes = [x509.NameAttribute(NameOID.SERIAL_NUMBER, each) for each in serials]
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, "drive"))
        builder = _builder(x509.Name(attributes), self.subject, public, start, end)
        if purposes is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        if filler:
            oid = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
            builder = builder.add_extension(x509.UnrecognizedExtension(oid, bytes(filler)), critical=False)
        for extension in extra:
            builder = builder.add_extension(extension, critical=True)
        return (builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.DER),)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: PublicKey, start: dt.datetime, end: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
