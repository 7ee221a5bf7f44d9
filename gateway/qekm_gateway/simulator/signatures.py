"""Signatures of the drive key protocol as a client makes and checks them (docs/protocol.md, section 4).

Written apart from the service's own module, so that the two check each other.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

RSA_PSS, ECDSA_P384, ECDSA_P256 = 0x0002, 0x0003, 0x0004

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Verify = Callable[[int, bytes, bytes], bool]

# RFC 8017, 8.1: salt as long as the hash.
_PSS = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
# Curve -> signature type, length of r and of s, hash (FIPS 186-5, table of matching strengths).
_CURVES: dict[str, tuple[int, int, ec.ECDSA]] = {
    "secp256r1": (ECDSA_P256, 32, ec.ECDSA(hashes.SHA256())),
    "secp384r1": (ECDSA_P384, 48, ec.ECDSA(hashes.SHA384())),
}


class Signer:
    """Signs with one private key: RSA (PSS), P-256 or P-384; ValueError for any other."""

    __slots__ = ("_private", "_sign", "type")

    def __init__(self, private: PrivateKey) -> None:
        self._private = private
        if isinstance(private, rsa.RSAPrivateKey):
            self.type = RSA_PSS
            self._sign: Callable[[bytes], bytes] = lambda message: private.sign(
                message, _PSS, hashes.SHA256()
            )
        else:
            self.type, size, algorithm = _curve(private.curve)
            self._sign = lambda text: _fixed(private.sign(text, algorithm), size)

    @property
    def private(self) -> PrivateKey:
        """The key itself, for whoever writes it to its file."""
        return self._private

    def sign(self, message: bytes) -> bytes:
        """Return the signature bytes; ECDSA as r || s."""
        return self._sign(message)

    def signed(self, message: bytes) -> bytes:
        """Return type(2), length(2), signature: the value of TLV 0190 and the tail of a DSK list."""
        value = self._sign(message)
        return self.type.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value

    @property
    def length(self) -> int:
        """Length of every signature of this key, which is signed before it is known."""
        if isinstance(self._private, rsa.RSAPrivateKey):
            return self._private.key_size // 8
        return 2 * _curve(self._private.curve)[1]


def verifier(public: PublicKeyTypes) -> Verify:
    """Return verify(type, signature, message) for one public key; ValueError for a kind unused here."""
    if isinstance(public, rsa.RSAPublicKey):
        return _rsa_verifier(public)
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise ValueError("neither RSA nor an elliptic curve key")
    return _ec_verifier(public)


def _rsa_verifier(public: rsa.RSAPublicKey) -> Verify:
    def verify(kind: int, signature: bytes, message: bytes) -> bool:
        if kind != RSA_PSS:
            return False
        try:
            public.verify(signature, message, _PSS, hashes.SHA256())
        except InvalidSignature:
            return False
        return True

    return verify


def _ec_verifier(public: ec.EllipticCurvePublicKey) -> Verify:
    expected, size, algorithm = _curve(public.curve)

    def verify(kind: int, signature: bytes, message: bytes) -> bool:
        if kind != expected or len(signature) != 2 * size:
            return False
        r, s = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        try:
            public.verify(encode_dss_signature(r, s), message, algorithm)
        except InvalidSignature:
            return False
        return True

    return verify


def _curve(curve: ec.EllipticCurve) -> tuple[int, int, ec.ECDSA]:
    found = _CURVES.get(curve.name)
    if found is None:
        raise ValueError(f"no signature type for the curve {curve.name}")
    return found


def _fixed(der: bytes, size: int) -> bytes:
    r, s = decode_dss_signature(der)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")
