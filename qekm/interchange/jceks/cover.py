"""What lies over each key: PBEWithMD5AndTripleDES, a scheme of the JDK's own.

Two chains of MD5 over password and half a salt make the Triple DES key and the IV. Nothing authenticates
the result but the digest of the whole store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple, cast

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from qekm.errors import BadFile, BadPassword
from qekm.interchange.der import OCTETS, SEQUENCE, Reader, element, integer
from qekm.secret import Secret

SCHEME = "PBEWithMD5AndTripleDES"
ITERATIONS = 200_000  # what JDKs write since 8u151
MOST_ITERATIONS = 5_000_000  # what they read
SALT_LENGTH = 8
_BLOCK, _KEY = 8, 24
_ANY_NUMBER = 2**31 - 1  # Java's int


class Work(NamedTuple):
    """What turning a password into a key takes."""

    salt: bytes
    iterations: int


@dataclass(frozen=True, slots=True)
class Cover:
    """A covered key: the scheme's name, its parameters in DER, what it covers."""

    scheme: str
    parameters: bytes = field(repr=False)
    content: bytes = field(repr=False)

    def work(self, name: str) -> Work:
        """Return what opening takes; BadFile, that calls the key `name`, if this program will not do it."""
        if self.scheme.casefold() != SCHEME.casefold():
            hint = "let the Java that made the store convert it: keytool -importkeystore"
            raise BadFile(f"{name} is protected by {self.scheme[:64]!r}, not by {SCHEME}", hint=hint)
        if not self.content or len(self.content) % _BLOCK:
            raise BadFile(f"{name} is not a whole number of Triple DES blocks")
        try:
            work = _parse_parameters(self.parameters)
        except BadFile:
            raise BadFile(f"{name} does not say how it is protected: the parameters are damaged") from None
        if len(work.salt) != SALT_LENGTH:
            raise BadFile(f"{name} has a salt of {len(work.salt)} bytes; the scheme has {SALT_LENGTH}")
        if not 1 <= work.iterations <= MOST_ITERATIONS:
            asked = f"{name} asks for {work.iterations:,} iterations"
            raise BadFile(f"{asked}; Java and this program do 1 to {MOST_ITERATIONS:,}")
        return work


def password_bytes(password: Secret) -> bytes:
    """Return the password as Java takes it for keys; BadPassword unless it is printable ASCII.

    Java takes any characters for the password of the store, which protects no key.
    """
    value = password.reveal()
    if not all(0x20 <= byte <= 0x7E for byte in value):
        hint = "give the password of the keys too: Java itself takes only ASCII for it"
        raise BadPassword("the password of a key in a JCEKS keystore is printable ASCII", hint=hint)
    return value


def stretch(password: bytes, work: Work) -> bytes:
    """Return Triple DES key and IV, 32 bytes; pure, and the only slow thing in a keystore."""
    salt = work.salt
    if salt[:4] == salt[4:]:
        # So that the two chains differ. Older JDKs are said to make another thing of the half by a slip in a
        # loop; one key in 2**32 has such a salt, so that this is not tried as well.
        salt = salt[3::-1] + salt[4:]
    return _chain(salt[:4], password, work.iterations) + _chain(salt[4:], password, work.iterations)


def cover(plain: bytes, work: Work, derived: bytes) -> Cover:
    """Return the bytes covered with what stretch() made of this work."""
    pad = PKCS7(8 * _BLOCK).padder()
    encrypt = _cipher(derived).encryptor()
    content = encrypt.update(pad.update(plain) + pad.finalize()) + encrypt.finalize()
    parameters = element(SEQUENCE, element(OCTETS, work.salt) + integer(work.iterations))
    return Cover(SCHEME, parameters, content)


def uncover(covered: Cover, derived: bytes) -> bytes | None:
    """Return what is covered, None if that cannot be it; a wrong key passes for right one time in 256."""
    decrypt = _cipher(derived).decryptor()
    unpad = PKCS7(8 * _BLOCK).unpadder()
    padded = decrypt.update(covered.content) + decrypt.finalize()
    try:
        return unpad.update(padded) + unpad.finalize()
    except ValueError:
        return None


def _parse_parameters(data: bytes) -> Work:
    """PKCS #5 v1.5's PBEParameter (RFC 8018, A.3)."""
    fields = Reader(memoryview(data)).only(SEQUENCE)
    salt, iterations = bytes(fields.take(OCTETS)), fields.integer(_ANY_NUMBER)
    fields.end()
    return Work(salt, iterations)


def _find_md5() -> Callable[[bytes], Any]:
    """CPython's own takes 0.4 µs for these few bytes; OpenSSL's, asked through hashlib, 0.9 to 1.4."""
    try:
        from _md5 import md5  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return partial(hashlib.md5, usedforsecurity=False)
    return cast(Callable[[bytes], Any], md5)


_md5 = _find_md5()


def _chain(digest: bytes, password: bytes, iterations: int) -> bytes:
    md5 = _md5
    for _ in repeat(None, iterations):
        digest = md5(digest + password).digest()
    return digest


def _cipher(derived: bytes) -> Cipher[CBC]:
    return Cipher(TripleDES(derived[:_KEY]), CBC(derived[_KEY:]))
