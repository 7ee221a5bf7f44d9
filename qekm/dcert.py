"""Check drive certificates against the drive authorities (docs/protocol.md, section 1)."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from qekm.dkp.codes import Code, Fault
from qekm.errors import BadCertificate, StoreDamaged
from qekm.model import Authority
from qekm.signing import Verifier, check_public

MAX_CERTIFICATE = 4_096  # bytes of DER
MAX_CHAIN = 4
_MAX_CACHED = 16_384  # chains; a few kB each
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class DriveIdentity:
    """What a chain proved: whose certificate it is, its hash for the label, and its key."""

    serial: str
    certificate_sha256: bytes
    verifier: Verifier

    @property
    def spki_sha256(self) -> bytes:
        """Return the SHA-256 of the drive's public key."""
        return self.verifier.spki_sha256


class DriveTrust:
    """One set of drive authorities and the chains already proved against it.

    A changed set is a new object, so nothing proved under an authority outlives the trust in it.
    """

    def __init__(self, authorities: Iterable[bytes]) -> None:
        """Take the authorities' certificates, DER; none means that no drive is known. StoreDamaged."""
        try:
            anchors = [x509.load_der_x509_certificate(der) for der in authorities]
        except (ValueError, x509.InvalidVersion):
            raise StoreDamaged("the store holds a drive authority that cannot be read") from None
        self._store = Store(anchors) if anchors else None
        # SHA-256 and lengths of a chain's certificates -> from when to when it holds, and for whom.
        self._proved: dict[tuple[bytes | int, ...], tuple[int, int, DriveIdentity]] = {}

    def check(self, chain: Sequence[bytes], serial: str, now_us: int) -> DriveIdentity:
        """Return whose key the chain's leaf is; Fault EE2B unless it is a valid one of this very serial."""
        known: tuple[bytes | int, ...] = (hashlib.sha256(b"".join(chain)).digest(), *map(len, chain))
        start_us, end_us, identity = self._proved.get(known) or (1, 0, None)
        if identity is None or not start_us <= now_us <= end_us:
            start_us, end_us, identity = self._prove(chain, now_us)
            if len(self._proved) >= _MAX_CACHED:
                del self._proved[next(iter(self._proved))]
            self._proved[known] = start_us, end_us, identity
        if identity.serial != serial:
            _refuse("it names another drive")
        return identity

    def _prove(self, chain: Sequence[bytes], now_us: int) -> tuple[int, int, DriveIdentity]:
        if self._store is None:
            _refuse("no drive authority is trusted")
        certificates = [_load(der) for der in chain]
        if not 1 <= len(chain) <= MAX_CHAIN:
            _refuse("a chain has 1 to 4 certificates")
        verifier = (
            PolicyBuilder()
            .store(self._store)
            .time(_EPOCH + dt.timedelta(microseconds=now_us))
            .max_chain_depth(MAX_CHAIN)
            .extension_policies(ca_policy=_CA_POLICY, ee_policy=_LEAF_POLICY)
            .build_client_verifier()
        )
        try:
            proved = verifier.verify(certificates[0], certificates[1:]).chain
        except (VerificationError, ValueError):
            _refuse("the chain does not verify")
        identity = DriveIdentity(
            _serial_of(certificates[0]),
            hashlib.sha256(chain[0]).digest(),
            Verifier(certificates[0].public_key()),
        )
        start = max(certificate.not_valid_before_utc for certificate in proved)
        end = min(certificate.not_valid_after_utc for certificate in proved)
        return time_us(start), time_us(end), identity


def load_authority(data: bytes, now_us: int) -> Authority:
    """Return a drive authority from a CA certificate, DER or PEM; BadCertificate if it cannot be one."""
    try:
        if data.lstrip().startswith(b"-----"):
            certificate = x509.load_pem_x509_certificate(data)
        else:
            certificate = x509.load_der_x509_certificate(data)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        public = certificate.public_key()
    except (
        ValueError,
        UnsupportedAlgorithm,
        x509.InvalidVersion,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
    ) as error:
        raise BadCertificate("this is no certificate of an authority") from error
    check_public(public)
    expire_us = time_us(certificate.not_valid_after_utc)
    if not constraints.ca:
        raise BadCertificate("the certificate is not an authority's: its basic constraints say so")
    if expire_us <= now_us:
        raise BadCertificate("the authority's certificate has ended")
    der = certificate.public_bytes(Encoding.DER)
    return Authority(
        hashlib.sha256(der).digest(), der, certificate.subject.rfc4514_string(), expire_us, now_us
    )


def time_us(moment: dt.datetime) -> int:
    """Return a moment as microseconds since 1970-01-01 UTC."""
    return (moment - _EPOCH) // dt.timedelta(microseconds=1)


def _load(der: bytes) -> x509.Certificate:
    """Parse one certificate of a chain and refuse a key that would be dear to compute with."""
    if len(der) > MAX_CERTIFICATE:
        _refuse(f"a certificate has more than {MAX_CERTIFICATE} bytes")
    try:
        certificate = x509.load_der_x509_certificate(der)
        check_public(certificate.public_key())
    except BadCertificate as error:
        _refuse(error.message)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        _refuse("a certificate cannot be read")
    return certificate


def _serial_of(leaf: x509.Certificate) -> str:
    serials = leaf.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    if len(serials) != 1:
        _refuse("its subject must have exactly one serial number")
    return str(serials[0].value)


def _refuse(text: str) -> NoReturn:
    raise Fault(Code.EE2B, f"drive certificate: {text}")


def _is_authority(_: Policy, __: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("not an authority")


def _may_sign_certificates(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("may not sign certificates")


def _is_no_authority(_: Policy, __: x509.Certificate, constraints: x509.BasicConstraints | None) -> None:
    if constraints is not None and constraints.ca:
        raise ValueError("an authority is no drive")


def _may_sign(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.digital_signature:
        raise ValueError("may not sign")


def _is_client_only(_: Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage) -> None:
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage or ExtendedKeyUsageOID.SERVER_AUTH in usage:
        raise ValueError("must be for clients and not for servers")


# RFC 5280, 6.1, without the web's demands on names: a drive has none. Key usage counts where it is present.
_CA_POLICY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_authority)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign_certificates)
)
_LEAF_POLICY = (
    ExtensionPolicy.permit_all()
    .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_no_authority)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign)
    .require_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _is_client_only)
)
