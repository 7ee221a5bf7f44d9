"""Private keys, requests and the files of an identity: NAME.key and NAME.pem, 0600, never half written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

MODE = 0o600


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
