"""Keys for another organisation: signed by us, then encrypted to its certificate (CMS). Sans-I/O.

Signed first, so that the signature is over the keys and not over a ciphertext that anybody could sign anew;
the parcel names the certificate that it is for, so that who receives it cannot pass it on as if it had been
made for a third (D. Davis, "Defective Sign & Encrypt", 2001).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

from qekm.errors import BadFile
from qekm.interchange import parcel as parcels
from qekm.interchange.cms import envelope, signature
from qekm.interchange.cms.signature import Sender
from qekm.interchange.parcel import Parcel, SharedKey

__all__ = ["MAX_FILE", "Chain", "CheckSender", "Sender", "seal", "unseal"]

MAX_FILE = 16 * 2**20  # bytes: 100,000 keys have 15 million at most
Chain = tuple[x509.Certificate, ...]  # leaf first
CheckSender = Callable[[Chain], None]


def seal(
    keys: Iterable[SharedKey],
    recipient: x509.Certificate,
    sender: Sender,
    estate: bytes,
    now_us: int,
    random_bytes: Callable[[int], bytes],
) -> bytes:
    """Return the file that gives these keys to the holder of the recipient's certificate, DER.

    Whether the recipient is who we think is asked by qekm/interchange/partner.py. BadCertificate for a
    recipient to whose key nothing can be encrypted; BadArgument, TooMany for keys that cannot be written.
    """
    parcel = Parcel(estate, recipient.fingerprint(hashes.SHA256()), now_us, tuple(keys))
    with (
        _wiped(parcels.serialize(parcel)) as payload,
        _wiped(signature.sign(payload, sender, now_us)) as signed,
    ):
        return envelope.seal(signed, recipient, random_bytes)


def unseal(
    data: bytes,
    private_key: rsa.RSAPrivateKey,
    certificate: x509.Certificate,
    check_sender: CheckSender,
) -> tuple[Parcel, Chain]:
    """Return what a file holds for the holder of this certificate, and the certificates of who signed it.

    check_sender: raises BadCertificate unless the first of these certificates is that of a trusted sender.
    BadFile for damage, another kind of file or algorithm, another recipient; BadCertificate for a sender who
    is not trusted or did not sign this. Nothing of the parcel is read before both were checked.
    """
    if len(data) > MAX_FILE:
        raise BadFile(f"the file has {len(data)} bytes; the most is {MAX_FILE}")
    with _wiped(envelope.parse(memoryview(data)).open(private_key, certificate)) as contents:
        signed = signature.parse(memoryview(contents))
        check_sender(signed.chain)
        signed.verify()
        parcel = parcels.parse(signed.payload)
    if parcel.recipient != certificate.fingerprint(hashes.SHA256()):
        raise BadFile("the keys were exported for another recipient, who passed them on")
    return parcel, signed.chain


@contextmanager
def _wiped(buffer: bytearray) -> Iterator[bytearray]:
    try:
        yield buffer
    finally:
        buffer[:] = bytes(len(buffer))
