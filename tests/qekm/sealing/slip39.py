"""SLIP-0039 read once more, from the standard alone: what the library splits must combine here too.

Only what this program makes: one group, no passphrase, 32 bytes, the least exponent, the extendable flag.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from hashlib import pbkdf2_hmac
from itertools import product

from shamir_mnemonic.wordlist import WORDLIST


def secret_of(mnemonics: Sequence[str]) -> bytes:
    """Return the secret of exactly as many shares as are needed."""
    points = dict(map(_point, mnemonics))
    secret, digest = _at(255, points), _at(254, points)
    assert hmac.digest(digest[4:], secret, "sha256")[:4] == digest[:4]
    left, right = secret[:16], secret[16:]
    for turn in (3, 2, 1, 0):
        key = pbkdf2_hmac("sha256", bytes([turn]), right, 2500, 16)
        left, right = right, _xor(left, key)
    return right + left


def _point(mnemonic: str) -> tuple[int, bytes]:
    """Return a share's number and value, after 15 bits of id, the flag, 4 of exponent, five times 4 bits."""
    bits = "".join(f"{WORDLIST.index(word):010b}" for word in mnemonic.split())
    assert len(bits) == 330
    assert bits[15:20] == "10000"
    assert bits[20:32] == "0" * 12
    assert bits[40:44] == "0000"
    return int(bits[32:36], 2), int(bits[44:300], 2).to_bytes(32)


def _at(x: int, points: Mapping[int, bytes]) -> bytes:
    """Return the value of the polynomials at x (Lagrange, in AES's field)."""
    total = bytes(32)
    for i, value in points.items():
        basis = 1
        for j in points:
            if j != i:
                basis = _times(basis, _times(x ^ j, _inverse(i ^ j)))
        total = _xor(total, bytes(_times(basis, byte) for byte in value))
    return total


def _times(a: int, b: int) -> int:
    result = 0
    for bit in range(8):
        if b >> bit & 1:
            result ^= a << bit
    for bit in range(14, 7, -1):
        if result >> bit & 1:
            result ^= 0x11B << (bit - 8)
    return result


_INVERSES = {a: b for a, b in product(range(1, 256), repeat=2) if _times(a, b) == 1}


def _inverse(a: int) -> int:
    return _INVERSES[a]


def _xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))
