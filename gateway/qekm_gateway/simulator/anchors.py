"""Which key manager a drive believes: server anchors of its administrator (docs/protocol.md, section 1)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from qekm_gateway.simulator.sense import DATA_PROTECT, NOT_AUTHENTICATED, CheckCondition
from qekm_gateway.simulator.signatures import Verify, verifier

MAX_CHAIN = 4
_PIN = re.compile(r"[0-9A-Fa-f]{64}")


class Untrusted(CheckCondition):
    """What came from the server fails a check; the session ends there and no key is set."""

    def __init__(self, reason: str) -> None:
        super().__init__(DATA_PROTECT, NOT_AUTHENTICATED, f"the key manager is not believed: {reason}")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A server's certificate that is believed: the hash that labels name, and how to check its signatures."""

    spki_sha256: bytes
    verify: Verify


@dataclass(frozen=True, slots=True)
class _Parsed:
    certificate: x509.Certificate
    leaf: Leaf
    usable: bool


class Anchors:
    """SHA-256 hashes of server public keys, and CA certificates; empty believes nobody."""

    __slots__ = ("authorities", "pins")

    def __init__(self, pins: Sequence[bytes] = (), authorities: Sequence[x509.Certificate] = ()) -> None:
        self.pins = frozenset(pins)
        self.authorities = tuple(authorities)

    def check(self, chain: Sequence[bytes], now_us: int) -> Leaf:
        """Return the leaf of a DER chain, leaf first, that matches an anchor; raise Untrusted otherwise.

        A pin names the key, so the certificate's dates do not matter for it; a CA vouches only while all of
        the chain is valid. The purpose is checked either way: a drive's certificate is never a server's.
        """
        if not 1 <= len(chain) <= MAX_CHAIN:
            raise Untrusted("no certificate chain of 1 to 4")
        parsed = _parse(chain[0])
        if not parsed.usable:
            raise Untrusted("the certificate is not a server's: extended key usage")
        if parsed.leaf.spki_sha256 not in self.pins:
            self._check_chain(chain, dt.datetime.fromtimestamp(now_us / 1e6, dt.UTC))
        return parsed.leaf

    def _check_chain(self, chain: Sequence[bytes], now: dt.datetime) -> None:
        certificates = [_parse(der).certificate for der in chain]
        for depth, certificate in enumerate(certificates):
            _check_dates(certificate, now)
            for anchor in self.authorities:
                if certificate == anchor or _issued(certificate, anchor, depth):
                    return _check_dates(anchor, now)
            if depth + 1 < len(certificates) and not _issued(certificate, certificates[depth + 1], depth):
                break
        raise Untrusted("the server's certificate matches no anchor")


@lru_cache(maxsize=64)
def _parse(der: bytes) -> _Parsed:
    try:
        certificate = x509.load_der_x509_certificate(der)
        public = certificate.public_key()
        leaf = Leaf(
            sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest(),
            verifier(public),
        )
        return _Parsed(certificate, leaf, _is_server(certificate))
    except Exception as error:
        # Whatever a parser does with a stranger's bytes, the answer is the same: not believed.
        raise Untrusted("a certificate that cannot be read") from error


def _is_server(certificate: x509.Certificate) -> bool:
    try:
        usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return ExtendedKeyUsageOID.SERVER_AUTH in usages and ExtendedKeyUsageOID.CLIENT_AUTH not in usages


def _check_dates(certificate: x509.Certificate, now: dt.datetime) -> None:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Untrusted("a certificate of the server's chain is not valid now")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, below: int) -> bool:
    """Tell whether a CA that may have `below` CAs under it (RFC 5280, 4.2.1.9) signed the certificate."""
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, ValueError, TypeError, InvalidSignature):
        return False
    return constraints.ca and (constraints.path_length is None or constraints.path_length >= below)


def load_anchors(pins: Sequence[str], files: Sequence[str | Path]) -> Anchors:
    """Read pins (64 hex digits each) and PEM files of CA certificates; ValueError or OSError."""
    if not all(_PIN.fullmatch(pin) for pin in pins):
        raise ValueError("a server's anchor is a SHA-256: 64 hex digits")
    hashes = [bytes.fromhex(pin) for pin in pins]
    found = [item for file in files for item in x509.load_pem_x509_certificates(Path(file).read_bytes())]
    return Anchors(hashes, found)
