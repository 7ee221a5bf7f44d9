"""RSAES-OAEP (RFC 8017, 7.1.1) with a chosen seed: what libraries hide, so that vectors can be repeated."""

from __future__ import annotations

from hashlib import sha256


def mgf1(seed: bytes, length: int) -> bytes:
    """Return MGF1 with SHA-256 (RFC 8017, B.2.1)."""
    blocks = (sha256(seed + n.to_bytes(4)).digest() for n in range(length // 32 + 1))
    return b"".join(blocks)[:length]


def oaep_encode(message: bytes, label: bytes, seed: bytes, size: int) -> bytes:
    """Return the encoded message EM, `size` bytes, SHA-256 throughout; the seed has 32 bytes."""
    block = sha256(label).digest() + bytes(size - len(message) - 66) + b"\x01" + message
    masked = _xor(block, mgf1(seed, len(block)))
    return b"\x00" + _xor(seed, mgf1(masked, 32)) + masked


def oaep_encrypt(message: bytes, label: bytes, seed: bytes, modulus: int, exponent: int) -> bytes:
    """Return the ciphertext, as long as the modulus."""
    size = (modulus.bit_length() + 7) // 8
    encoded = oaep_encode(message, label, seed, size)
    return pow(int.from_bytes(encoded), exponent, modulus).to_bytes(size)


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
