"""An invitation: a file that lets one server ask once to be one of an estate. No I/O.

Text for people, then PEM for programs: the candidate's certificate and its private key, and last the
certificate of the server that invites. That one is all that the candidate trusts, so TLS itself proves that
the other end has the key whose fingerprint both operators look at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from qekm import pki
from qekm.clock import utc
from qekm.errors import BadFile, QekmError
from qekm.keypair import check_key
from qekm.model import Role
from qekm.secret import Secret
from qekm.signing import spki_sha256
from qekm.subject import Subject, subject_of

LONGEST = 65_536  # bytes
_TITLE = "Q-EKM invitation 1: keep it secret until it was used"
_HEAD = re.compile(rf"{_TITLE}\nserver: ([^\n]+)\n(?:[^\n]*\n)*?\n", re.ASCII)
_BLOCK = re.compile(rb"-----BEGIN ([A-Z ]+)-----\n[A-Za-z0-9+/=\n]+-----END \1-----\n")


@dataclass(frozen=True, slots=True)
class Invitation:
    """Where the inviting server is, what its certificate is, and what the candidate shows to it."""

    address: str  # host:port of its SSL port
    server: x509.Certificate
    certificate: x509.Certificate  # the candidate's
    key: Secret = field(repr=False)  # the candidate's private key, PEM

    @property
    def subject(self) -> Subject:
        """Return whom it invites: estate, name and hosts of the server to be."""
        return subject_of(self.certificate)

    @property
    def fingerprint(self) -> bytes:
        """Return the SHA-256 of the inviting server's public key (SPKI)."""
        return spki_sha256(check_key(self.server.public_key()))

    @property
    def expire_time_us(self) -> int:
        """Return until when it can be used, in microseconds."""
        return pki.end_us(self.certificate)

    def dump(self) -> bytes:
        """Return the file's content."""
        lines = [_TITLE, f"server: {self.address}", f"key: {self.fingerprint.hex()}"]
        lines += [f"for: {self.subject.name}", f"until: {utc(self.expire_time_us)}", "", ""]
        return (
            "\n".join(lines).encode() + pki.pem(self.certificate) + self.key.reveal() + pki.pem(self.server)
        )

    @classmethod
    def parse(cls, content: bytes) -> Invitation:
        """Read a file's content; BadFile for what is no invitation."""
        head = _HEAD.match(content[:LONGEST].decode("utf-8", "replace"))
        blocks = {match.end(): match for match in _BLOCK.finditer(content[:LONGEST])}
        kinds = [match[1] for match in blocks.values()]
        if head is None or kinds != [b"CERTIFICATE", b"PRIVATE KEY", b"CERTIFICATE"]:
            raise BadFile("this is no invitation", hint="give the file that qekm peers invite wrote")
        own, key, server = (match[0] for match in blocks.values())
        try:
            found = cls(head[1], _certificate(server), _certificate(own), Secret(key))
            fits = _public(found.certificate) == _public_of(key)
            role = found.subject.role
            _ = found.fingerprint
        except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, QekmError):
            raise BadFile("the invitation is damaged", hint="have it sent again") from None
        if not fits or role is not Role.CANDIDATE:
            raise BadFile("the invitation's certificate is none of a server to be")
        return found


def _certificate(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def _public(certificate: x509.Certificate) -> bytes:
    return spki_sha256(check_key(certificate.public_key()))


def _public_of(key_pem: bytes) -> bytes:
    return spki_sha256(check_key(serialization.load_pem_private_key(key_pem, None).public_key()))
