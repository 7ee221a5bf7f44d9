"""ContentInfo, the frame of every CMS file (RFC 5652, 3), and a certificate's name within it (10.2.4)."""

from __future__ import annotations

from cryptography import x509

from qekm.errors import BadFile
from qekm.interchange.cms.algorithms import AUTH_ENVELOPED_DATA, SIGNED_DATA
from qekm.interchange.der import CONTEXT_0, INTEGER, OID, SEQUENCE, Bytes, Reader, element, nest

_NAMES = {SIGNED_DATA: "signed", AUTH_ENVELOPED_DATA: "encrypted and authenticated (AuthEnvelopedData)"}


def wrap_contents(content_type: bytes, *fields: Bytes) -> tuple[Bytes, ...]:
    """Return the parts of a ContentInfo that holds a SEQUENCE of these fields."""
    return nest(SEQUENCE, content_type, *nest(CONTEXT_0, *nest(SEQUENCE, *fields)))


def open_contents(data: memoryview, content_type: bytes) -> Reader:
    """Return a reader of the fields in a ContentInfo; BadFile for one of another type, and for none."""
    info = Reader(data).only(SEQUENCE)
    if info.whole(OID) != content_type:
        raise BadFile(f"the file is of another kind: it holds CMS that is not {_NAMES[content_type]}")
    return info.only(CONTEXT_0).only(SEQUENCE)


def issuer_and_serial(certificate: x509.Certificate) -> bytes:
    """Return a certificate's IssuerAndSerialNumber, DER, byte for byte as the certificate has them."""
    fields = Reader(memoryview(certificate.tbs_certificate_bytes)).enter(SEQUENCE)
    if fields.next_is(CONTEXT_0):
        fields.take(CONTEXT_0)  # the version
    serial, _signature = fields.whole(INTEGER), fields.whole(SEQUENCE)
    return element(SEQUENCE, fields.whole(SEQUENCE), serial)
