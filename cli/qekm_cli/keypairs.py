"""Private keys, requests and the files of an identity: NAME.key and NAME.pem, 0600, never half written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

MODE = 0o600


def make_key() -> EllipticCurvePrivateKey:
    """Return a new EC P-256 key, the kind that the internal authority has."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def dump_key(key: EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PEM (PKCS#8), not encrypted: it is what the file mode protects."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def request_of(key_pem: bytes, name: str) -> bytes:
    """Return a certificate request (PKCS#10, DER) for the key in `key_pem`; raises BadCertificate."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
    from cryptography.x509.oid import NameOID

    from qekm.errors import BadCertificate

    try:
        key = load_pem_private_key(key_pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadCertificate(f"the private key of {name!r} cannot be read as PEM") from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise BadCertificate(f"the private key of {name!r} is not an elliptic curve key")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
    return request.public_bytes(Encoding.DER)


def serial_of(certificate_pem: bytes, name: str) -> str:
    """Return the serial of a certificate as lower-case hex; raises BadCertificate."""
    from cryptography import x509

    from qekm.errors import BadCertificate

    try:
        return f"{x509.load_pem_x509_certificate(certificate_pem).serial_number:x}"
    except ValueError as error:
        raise BadCertificate(f"the certificate of {name!r} cannot be read as PEM") from error


def write_new(path: Path, content: bytes) -> None:
    """Write a file that must not exist yet; raises FileExistsError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace(path: Path, content: bytes) -> None:
    """Write a file at once or not at all; the owner stays, so that root does not lock the service out."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            if path.exists() and (path.stat().st_uid, path.stat().st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(handle, path.stat().st_uid, path.stat().st_gid)
            file.write(content)
            file.flush()
            os.fsync(handle)
        Path(name).rename(path)
    finally:
        Path(name).unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)
