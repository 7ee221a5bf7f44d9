"""Who is at the other end of a link, read from the certificate that the TLS layer has verified."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography import x509

from qekm import pki
from qekm.errors import QekmError, UnknownIdentity
from qekm.model import Role
from qekm.subject import subject_of


@dataclass(frozen=True, slots=True)
class Identity:
    """A caller: role and name from the URI SAN, serial of the certificate (lower-case hex)."""

    role: Role
    name: str
    serial: str

    @property
    def actor(self) -> str:
        """Return the caller as the audit trail names it, for example administrator/alice."""
        return f"{self.role.name.lower()}/{self.name}"


@dataclass(frozen=True, slots=True)
class Passport:
    """What a certificate says: the identity, its estate (16 bytes) and its validity in microseconds."""

    identity: Identity
    estate: bytes
    start_us: int
    end_us: int


def read_passport(certificate_pem: bytes) -> Passport:
    """Read a verified certificate; UnknownIdentity if it does not name exactly one identity.

    The common name is never looked at: a certificate made for something else has one too.
    """
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        subject = subject_of(certificate)
    except (ValueError, x509.InvalidVersion, QekmError) as error:
        raise UnknownIdentity("the certificate names no identity of a key manager") from error
    identity = Identity(subject.role, subject.name, pki.serial_of(certificate))
    return Passport(identity, subject.estate, pki.start_us(certificate), pki.end_us(certificate))


def peer_certificate(auth_context: Mapping[str, Iterable[bytes]]) -> bytes | None:
    """Return the peer's leaf certificate (PEM) from a call's authentication context, None without mTLS."""
    return next(iter(auth_context.get("x509_pem_cert", ())), None)
