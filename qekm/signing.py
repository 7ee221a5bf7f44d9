"""Sign and verify with the keys of drives and of the server (docs/protocol.md, section 7).

Loading a key chooses its algorithm once; what remains per message is one call into the cryptography package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qekm.dkp.signed import SignatureType
from qekm.errors import BadCertificate

Verify = Callable[[int, bytes, bytes], bool]

MIN_RSA_BITS, MAX_RSA_BITS = 2048, 4096
MAX_RSA_EXPONENT = 2**32  # beyond it one verification can be made to take seconds
_SHA256 = hashes.SHA256()
# RFC 8017, 8.1; the salt is as long as the hash.
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
# Curve -> signature type, length of r and of s in bytes, algorithm (FIPS 186-5).
_CURVES: dict[str, tuple[SignatureType, int, ec.ECDSA]] = {
    "secp256r1": (SignatureType.ECDSA_P256, 32, ec.ECDSA(hashes.SHA256())),
    "secp384r1": (SignatureType.ECDSA_P384, 48, ec.ECDSA(hashes.SHA384())),
}


class Verifier:
    """A loaded public key: the signature types that fit it, and verify(type, signature, message)."""

    __slots__ = ("spki_sha256", "types", "verify")

    def __init__(self, public: PublicKeyTypes) -> None:
        self.types, self.verify = _verification(public)
        self.spki_sha256 = spki_sha256(public)


class FrameSigner:
    """Signs with the server's private key; every signature of it has type `type` and `length` bytes."""

    __slots__ = ("_sign", "length", "spki_sha256", "type")

    def __init__(self, private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        check_public(private.public_key())
        self.spki_sha256 = spki_sha256(private.public_key())
        if isinstance(private, rsa.RSAPrivateKey):
            self.type, self.length = SignatureType.RSA_PSS_SHA256, private.key_size // 8
            self._sign: Callable[[bytes], bytes] = lambda message: private.sign(message, _PSS, _SHA256)
        else:
            self.type, size, algorithm = _CURVES[private.curve.name]
            self.length = 2 * size
            self._sign = lambda message: _raw(private.sign(message, algorithm), size)

    def sign(self, message: bytes) -> tuple[int, bytes]:
        """Return signature type and signature; ECDSA as r || s."""
        return self.type, self._sign(message)


def check_public(public: object) -> None:
    """Raise BadCertificate unless this is RSA-2048 to RSA-4096 with a small odd exponent, P-256 or P-384.

    It looks at sizes only, before any arithmetic with the key.
    """
    if isinstance(public, rsa.RSAPublicKey):
        exponent = public.public_numbers().e
        if not MIN_RSA_BITS <= public.key_size <= MAX_RSA_BITS:
            raise BadCertificate(f"an RSA key of {public.key_size} bits is not allowed")
        if not exponent & 1 or not 3 <= exponent < MAX_RSA_EXPONENT:
            raise BadCertificate("the RSA key's exponent is not allowed")
    elif not isinstance(public, ec.EllipticCurvePublicKey) or public.curve.name not in _CURVES:
        raise BadCertificate("the key is neither RSA nor on P-256 or P-384")


def spki_sha256(public: PublicKeyTypes) -> bytes:
    """Return the SHA-256 of the key's SubjectPublicKeyInfo, by which keys are pinned and blocked."""
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _verification(public: PublicKeyTypes) -> tuple[frozenset[int], Verify]:
    check_public(public)
    if isinstance(public, rsa.RSAPublicKey):
        return frozenset({int(SignatureType.RSA_PSS_SHA256)}), _rsa(public)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    kind, size, algorithm = _CURVES[public.curve.name]
    return frozenset({int(kind)}), _ecdsa(public, kind, size, algorithm)


def _rsa(public: rsa.RSAPublicKey) -> Verify:
    def verify(kind: int, signature: bytes, message: bytes) -> bool:
        if kind != SignatureType.RSA_PSS_SHA256:
            return False
        try:
            public.verify(signature, message, _PSS, _SHA256)
        except InvalidSignature:
            return False
        return True

    return verify


def _ecdsa(public: ec.EllipticCurvePublicKey, expected: int, size: int, algorithm: ec.ECDSA) -> Verify:
    def verify(kind: int, signature: bytes, message: bytes) -> bool:
        if kind != expected or len(signature) != 2 * size:
            return False
        r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
        try:
            public.verify(encode_dss_signature(r, s), message, algorithm)
        except InvalidSignature:
            return False
        return True

    return verify


def _raw(der: bytes, size: int) -> bytes:
    r, s = decode_dss_signature(der)
    return r.to_bytes(size) + s.to_bytes(size)
