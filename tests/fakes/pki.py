"""An estate's certificates in a directory: the proper ones, and any odd one that a test wants refused."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from qekm import founding, keypair, pki
from qekm.home import Home
from qekm.model import Role
from qekm.pki import Issuer
from qekm.rpc.tls import Files
from qekm.subject import Subject

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
DAY_US = 86_400_000_000


def now_us() -> int:
    """Return the time of day in microseconds."""
    return time.time_ns() // 1_000


class Forge:
    """A home's certificates and its authority's key: makes any certificate that a test needs."""

    def __init__(self, home: Home, estate: bytes, issuer: Issuer) -> None:
        self.home, self.estate, self.issuer = home, estate, issuer

    @property
    def server(self) -> Files:
        """Return the service's own files."""
        return self.files("server")

    def files(self, name: str, trust: Path | None = None) -> Files:
        """Return where the files of `name` are."""
        return Files(self.home.certificate(name), self.home.key(name), trust or self.home.trust)

    def serial(self, name: str) -> str:
        """Return the serial of the certificate of `name`."""
        return pki.serial_of(x509.load_pem_x509_certificate(self.home.certificate(name).read_bytes()))

    def issue(self, role: Role, name: str, *, days: int = 10, ago_us: int = 0, estate: bytes = b"") -> Files:
        """Issue a proper certificate, perhaps a while ago, and return its files."""
        key = keypair.make_key()
        subject = Subject(estate or self.estate, role, name)
        leaf = self.issuer.issue(subject, key.public_key(), now_us() - ago_us, days, os.urandom)
        return self.keep(name, leaf, key)

    def forge(
        self,
        name: str,
        *,
        issuer: Issuer | None = None,
        uris: Sequence[str] = (),
        common_name: str = "administrator",
        usages: Sequence[x509.ObjectIdentifier] = (CLIENT,),
    ) -> Files:
        """Build a certificate that our own code would never issue, and return its files."""
        key, by = keypair.make_key(), issuer or self.issuer
        start = datetime.now(UTC) - timedelta(hours=1)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(by.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=10))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(list(usages)), critical=False)
        )
        if uris:
            names = [x509.UniformResourceIdentifier(uri) for uri in uris]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return self.keep(name, builder.sign(by.key, hashes.SHA256()), key)

    def counterfeit(self, name: str, trusted: str) -> Files:
        """Copy a trusted certificate field by field, with a key of our own that also signs it."""
        key = keypair.make_key()
        model = x509.load_pem_x509_certificate(self.home.certificate(trusted).read_bytes())
        builder = (
            x509.CertificateBuilder()
            .subject_name(model.subject)
            .issuer_name(model.issuer)
            .public_key(key.public_key())
            .serial_number(model.serial_number)
            .not_valid_before(model.not_valid_before_utc)
            .not_valid_after(model.not_valid_after_utc)
        )
        for extension in model.extensions:
            builder = builder.add_extension(extension.value, extension.critical)
        return self.keep(name, builder.sign(key, hashes.SHA256()), key)

    def keep(self, name: str, leaf: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Files:
        """Write a certificate and its key to pki/."""
        self.home.certificate(name).write_bytes(pki.pem(leaf))
        self.home.key(name).write_bytes(keypair.dump_key(key))
        return self.files(name)

    def uri(self, role: str = "administrator", name: str = "alice") -> str:
        """Return an identity of this estate."""
        return f"qekm://{self.estate.hex()}/{role}/{name}"


class Pki(Forge):
    """What `qekm init` makes of certificates, in the pki/ of a home."""

    def __init__(self, path: Path) -> None:
        home, estate = Home(path), os.urandom(16)
        home.pki.mkdir(parents=True)
        self.signer = keypair.make_key()
        self.founding = founding.found(estate, [], self.signer.public_key(), now_us(), os.urandom)
        for name, content in self.founding.files.items():
            (home.pki / name).write_bytes(content)
        super().__init__(home, estate, self.founding.issuer)
