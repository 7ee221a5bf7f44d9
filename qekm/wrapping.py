"""Wrap data keys for a drive: RSAES-OAEP under its session key and a label (docs/protocol.md, section 8)."""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from qekm.dkp.codes import Code, Fault
from qekm.dkp.pages import parse_public_key_page

_SHA256 = hashes.SHA256()
_MGF1 = padding.MGF1(_SHA256)


class SessionKey:
    """A drive session key (DSK), loaded: `parameter_set` names its type in page 0010h."""

    __slots__ = ("_public", "parameter_set")

    def __init__(self, page: bytes) -> None:
        """Load the key of a page 0031h; Fault EE2C unless type, size and exponent are allowed."""
        kind, modulus, exponent = parse_public_key_page(page)
        try:
            self._public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        except ValueError:
            raise Fault(Code.EE2C, "page 0031h: this is no RSA key") from None
        self.parameter_set = kind.parameter_set

    def wrap(self, material: bytes, label: bytes) -> bytes:
        """Return the data key under RSAES-OAEP, SHA-256, MGF1-SHA-256, L = label (RFC 8017, 7.1)."""
        return self._public.encrypt(material, padding.OAEP(_MGF1, _SHA256, label))
