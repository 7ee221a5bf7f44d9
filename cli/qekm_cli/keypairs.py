"""What a private key and a certificate tell of themselves, for requests and renewals; PEM in."""

from __future__ import annotations


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
    from cryptography import x509

    from qekm.errors import BadCertificate

    try:
        return f"{x509.load_pem_x509_certificate(certificate_pem).serial_number:x}"
    except ValueError as error:
        raise BadCertificate(f"the certificate of {name!r} cannot be read as PEM") from error
