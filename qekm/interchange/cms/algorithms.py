"""The identifiers in our CMS files, DER: the one encoding that is written and all that are read.

Nothing is negotiated and nothing is looked up: what a file names must be equal to one of these bytes, so no
file can talk a reader into a weaker algorithm. Only SHA-256 comes in two encodings, with parameters NULL and
with none (RFC 4055, 2.1; RFC 5754, 2): both are read.
"""

from __future__ import annotations

from itertools import product

from asn1crypto import algos, cms

from qekm.interchange.der import CONTEXT_0, CONTEXT_1, OCTETS, SEQUENCE, Bytes, element, integer

_CONTEXT_2 = 0xA2
_NULL = b"\5\0"

# Content types (RFC 5652, 4 to 6; RFC 5083, 2.1) and signed attributes (RFC 5652, 11).
DATA = bytes(cms.ContentType("data").dump())
SIGNED_DATA = bytes(cms.ContentType("signed_data").dump())
AUTH_ENVELOPED_DATA = bytes(cms.ContentType("authenticated_enveloped_data").dump())
CONTENT_TYPE = bytes(cms.CMSAttributeType("content_type").dump())
MESSAGE_DIGEST = bytes(cms.CMSAttributeType("message_digest").dump())
SIGNING_TIME = bytes(cms.CMSAttributeType("signing_time").dump())

_SHA256_OID = bytes(algos.DigestAlgorithmId("sha256").dump())
_MGF1_OID = bytes(algos.MaskGenAlgorithmId("mgf1").dump())
_OAEP_OID = bytes(cms.KeyEncryptionAlgorithmId("rsaes_oaep").dump())
_PSS_OID = bytes(algos.SignedDigestAlgorithmId("rsassa_pss").dump())
AES_256_GCM = bytes(algos.EncryptionAlgorithmId("aes256_gcm").dump())
NONCE_LENGTH, TAG_LENGTH = 12, 16

SHA256, _SHA256_NULL = element(SEQUENCE, _SHA256_OID), element(SEQUENCE, _SHA256_OID, _NULL)
SHA256_ENCODINGS = frozenset((SHA256, _SHA256_NULL))
ECDSA = element(SEQUENCE, algos.SignedDigestAlgorithmId("sha256_ecdsa").dump())
ECDSA_ENCODINGS = frozenset((ECDSA,))


def _oaep(digest: bytes, mask_digest: bytes) -> bytes:
    """Return RSAES-OAEP with SHA-256, MGF1-SHA-256 and an empty label (RFC 4055, 4.1)."""
    return element(SEQUENCE, _OAEP_OID, element(SEQUENCE, *_hash_and_mask(digest, mask_digest)))


def _pss(digest: bytes, mask_digest: bytes) -> bytes:
    """Return RSASSA-PSS with SHA-256, MGF1-SHA-256 and a salt of 32 bytes (RFC 4055, 3.1)."""
    salt = element(_CONTEXT_2, integer(32))
    return element(SEQUENCE, _PSS_OID, element(SEQUENCE, *_hash_and_mask(digest, mask_digest), salt))


def _hash_and_mask(digest: bytes, mask_digest: bytes) -> tuple[Bytes, Bytes]:
    mask = element(SEQUENCE, _MGF1_OID, mask_digest)
    return element(CONTEXT_0, digest), element(CONTEXT_1, mask)


OAEP, PSS = _oaep(_SHA256_NULL, _SHA256_NULL), _pss(_SHA256_NULL, _SHA256_NULL)
OAEP_ENCODINGS = frozenset(_oaep(*pair) for pair in product(SHA256_ENCODINGS, repeat=2))
PSS_ENCODINGS = frozenset(_pss(*pair) for pair in product(SHA256_ENCODINGS, repeat=2))


def gcm(nonce: Bytes) -> bytes:
    """Return AES-256-GCM with this nonce and a tag of 16 bytes (RFC 5084, 3.2)."""
    return element(SEQUENCE, AES_256_GCM, element(SEQUENCE, element(OCTETS, nonce), integer(TAG_LENGTH)))
