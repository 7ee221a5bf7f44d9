"""Whether a certificate is that of the partner we mean, before keys go to it or come from it. Sans-I/O.

Either its chain leads to an authority that an administrator trusts, or a person compared its SHA-256
fingerprint with the partner over another way. Anything less lets whoever forwards it put in their own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from qekm.errors import BadCertificate
from qekm.keypair import check_key

MAX_FILE = 65_536  # bytes; a chain of four has 8 kB
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNREADABLE = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension)


def check_partner(
    data: bytes, now_us: int, authorities: Sequence[x509.Certificate], confirmed: bytes | None = None
) -> x509.Certificate:
    """Return the certificate, PEM (perhaps with its chain, leaf first) or DER, to which keys may be exported.

    confirmed: the SHA-256 fingerprint that a person confirmed. If there is one it decides alone: nobody names
    one in order to have another accepted. BadCertificate says which check failed: RSA of 2048 to 8192 bits,
    key encipherment not forbidden, within its validity, confirmed or issued below one of the authorities.
    """
    chain = load(data)
    if not isinstance(_key(chain[0]), rsa.RSAPublicKey):
        raise BadCertificate("the certificate's key is not RSA: nothing can be encrypted to it")
    usage = _usage(chain[0])
    if usage is not None and not usage.key_encipherment:
        raise BadCertificate("the certificate's key usage does not allow key encipherment")
    _check_validity(chain[0], now_us)
    if confirmed is None:
        _check_chain(chain, now_us, authorities)
    elif confirmed != chain[0].fingerprint(hashes.SHA256()):
        raise BadCertificate(
            f"the certificate's fingerprint is not the one that was confirmed: SHA-256 {_text(chain[0])}",
            hint="somebody may have exchanged it: ask the partner for the fingerprint on another way",
        )
    return chain[0]


def find_signer(data: bytes, now_us: int) -> x509.Certificate | None:
    """Return the certificate that verifies what a partner sends, from the file that check_partner accepted.

    The second one, unless that is an authority; else the first, if it may sign; None for who only receives. A
    person confirmed the first one alone, so the second must be of the very authority that issued the first,
    which is in the file too. BadCertificate says what is wrong with it.
    """
    first, *others = load(data)
    if others and not _is_ca(others[0]):
        signer, *authorities = others
        if not any(_issued(each, first) and _issued(each, signer) for each in authorities):
            raise BadCertificate(
                "the certificate that signs is not of the authority that issued the first one",
                hint="give the file as the partner exported it: its authority comes last",
            )
        check_sender([signer], now_us, (), (signer.fingerprint(hashes.SHA256()),))
        return signer
    usage = _usage(first)
    return first if usage is None or usage.digital_signature else None


def check_sender(
    chain: Sequence[x509.Certificate],
    now_us: int,
    authorities: Sequence[x509.Certificate],
    confirmed: Collection[bytes] = (),
) -> None:
    """Make sure that keys may be imported from who signed with the first certificate of this chain.

    confirmed: SHA-256 fingerprints of partners that persons confirmed. BadCertificate says which check
    failed: signatures not forbidden, within its validity, confirmed or issued below one of the authorities.
    """
    _key(chain[0])
    usage = _usage(chain[0])
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        raise BadCertificate("the sender's certificate may not sign: its key usage says so")
    _check_validity(chain[0], now_us)
    if chain[0].fingerprint(hashes.SHA256()) not in confirmed:
        _check_chain(chain, now_us, authorities)


def holder_of(certificate: x509.Certificate) -> str:
    """Return whom a certificate names, for people (RFC 4514); BadCertificate if that cannot be read."""
    try:
        return certificate.subject.rfc4514_string()
    except _UNREADABLE:
        raise BadCertificate("the certificate's subject cannot be read") from None


def load(data: bytes) -> list[x509.Certificate]:
    """Return the certificates of a file, PEM or DER, in its order; BadCertificate."""
    if len(data) > MAX_FILE:
        raise BadCertificate(f"the file of the certificate has {len(data)} bytes; the most is {MAX_FILE}")
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except _UNREADABLE:
        raise BadCertificate("the file holds no certificate, PEM or DER, that can be read") from None


def _key(certificate: x509.Certificate) -> object:
    try:
        return check_key(certificate.public_key())
    except _UNREADABLE:
        raise BadCertificate("the certificate's key cannot be read") from None


def _usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    """Return the key usage; None allows everything (RFC 5280, 4.2.1.3)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
    except _UNREADABLE:
        raise BadCertificate("the certificate's extensions cannot be read") from None


def _check_validity(certificate: x509.Certificate, now_us: int) -> None:
    now = _time(now_us)
    if now < certificate.not_valid_before_utc:
        raise BadCertificate(f"the certificate begins on {certificate.not_valid_before_utc:%Y-%m-%d} only")
    if now > certificate.not_valid_after_utc:
        raise BadCertificate(f"the certificate ended on {certificate.not_valid_after_utc:%Y-%m-%d}")


def _check_chain(
    chain: Sequence[x509.Certificate], now_us: int, authorities: Sequence[x509.Certificate]
) -> None:
    """Build and check the path to an authority (RFC 5280, 6.1)."""
    try:
        builder = PolicyBuilder().store(Store(list(authorities))).time(_time(now_us))
        builder = builder.extension_policies(ca_policy=_AUTHORITY, ee_policy=ExtensionPolicy.permit_all())
        builder.build_client_verifier().verify(chain[0], list(chain[1:]))
    except (VerificationError, ValueError):
        raise BadCertificate(
            f"none of the {len(authorities)} authorities trusted for partners issued the certificate",
            hint=f"trust its authority, or let a person confirm its SHA-256 fingerprint: {_text(chain[0])}",
        ) from None


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
    except _UNREADABLE:
        raise BadCertificate("the certificate's extensions cannot be read") from None


def _issued(authority: x509.Certificate, leaf: x509.Certificate) -> bool:
    """Tell whether an authority issued a certificate, by its key and not by a signature alone.

    For another's RSA signature a key may be made that verifies it; its SHA-1 is in what was signed.
    """
    try:
        named = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        own = x509.SubjectKeyIdentifier.from_public_key(check_key(_key(authority))).digest
        leaf.verify_directly_issued_by(authority)
    except (*_UNREADABLE, x509.ExtensionNotFound, InvalidSignature, TypeError):
        return False
    return _is_ca(authority) and named == own


def _time(now_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=now_us)


def _text(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _is_authority(_: Policy, __: x509.Certificate, constraints: x509.BasicConstraints) -> None:
    if not constraints.ca:
        raise ValueError("not an authority")


def _may_sign_certificates(_: Policy, __: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("may not sign certificates")


# As for drives (qekm/dcert.py): without the web's demands on names, which no partner has to meet.
_AUTHORITY = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_authority)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _may_sign_certificates)
)
