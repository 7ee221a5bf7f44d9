"""The file's form of a private key: PKCS #8's EncryptedPrivateKeyInfo (RFC 5958), over a PrivateKeyInfo."""

from __future__ import annotations

from qekm.errors import BadFile
from qekm.interchange.der import INTEGER, OCTETS, OID, SEQUENCE, Reader, element
from qekm.interchange.jceks.cover import SCHEME, Cover

_SCHEME_OID = element(OID, bytes.fromhex("2b060104012a021301"))  # 1.3.6.1.4.1.42.2.19.1


def read_private(data: bytes) -> Cover:
    """Return what covers the key; BadFile."""
    fields = Reader(memoryview(data)).only(SEQUENCE)
    scheme, content = fields.take(SEQUENCE), fields.last(OCTETS)
    oid = Reader(scheme).whole(OID)
    name = SCHEME if oid == _SCHEME_OID else f"the OID {oid[2:34].hex()}"
    return Cover(name, bytes(scheme[len(oid) :]), bytes(content))


def write_private(cover: Cover) -> bytes:
    """Return the file's form of a covered private key."""
    return element(SEQUENCE, element(SEQUENCE, _SCHEME_OID, cover.parameters), element(OCTETS, cover.content))


def is_private(plain: bytes) -> bool:
    """Return whether these bytes are a PrivateKeyInfo, of whatever algorithm."""
    try:
        fields = Reader(memoryview(plain)).only(SEQUENCE)
        fields.take(INTEGER)
        fields.enter(SEQUENCE).take(OID)
        fields.take(OCTETS)
    except BadFile:
        return False
    return True
