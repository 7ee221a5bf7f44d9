"""What a private key and a certificate tell of themselves, for requests and renewals; PEM in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509


def request_of(key_pem: bytes, name: str) -> bytes:
    """Return a certificate request (PKCS#10, DER) for the key in `key_pem`; raises BadCertificate."""
    from qekm.errors import BadCertificate
    from qekm.keypair import load_key, make_request

    try:
        return make_request(load_key(key_pem))
    except BadCertificate as error:
        raise BadCertificate(f"the certificate of {name!r}: {error.message}") from None


def serial_of(certificate_pem: bytes, name: str) -> str:
    """Return the serial of a certificate as lower-case hex; raises BadCertificate."""
    return f"{_read(certificate_pem, name).serial_number:x}"


def end_of(certificate_pem: bytes, name: str) -> datetime:
    """Return when a certificate ends; raises BadCertificate."""
    return _read(certificate_pem, name).not_valid_after_utc


def _read(certificate_pem: bytes, name: str) -> x509.Certificate:
    from cryptography import x509

    from qekm.errors import BadCertificate

    try:
        return x509.load_pem_x509_certificate(certificate_pem)
    except ValueError as error:
        raise BadCertificate(f"the certificate of {name!r} cannot be read as PEM") from error
