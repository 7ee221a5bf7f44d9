"""What a keystore holds: keys under their cover, keys without it, certificates."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TypeAlias

from qekm.interchange.jceks.cover import Cover, Work
from qekm.secret import Secret


class Kind(IntEnum):
    """What an entry is; the numbers are the file's."""

    PRIVATE = 1
    CERTIFICATE = 2
    SECRET = 3


@dataclass(frozen=True, slots=True)
class ProtectedKey:
    """A key as it lies in a store. The alias is any text at all; times are Java's, in ms since 1970.

    chain: certificates of a private key, DER, its own first.
    """

    alias: str
    created_ms: int
    kind: Kind
    cover: Cover
    chain: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The key as an error calls it."""
        return f"the key {self.alias[:64]!r}"

    def work(self) -> Work:
        """Return what opening it takes; BadFile if this program will not do it."""
        return self.cover.work(self.name)


@dataclass(frozen=True, slots=True)
class TrustedCertificate:
    """A certificate that stands for itself, in DER."""

    alias: str
    created_ms: int
    certificate: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A symmetric key; algorithm as Java names it: AES, DESede, HmacSHA256."""

    alias: str
    created_ms: int
    algorithm: str
    material: Secret

    @property
    def is_data_key(self) -> bool:
        """Whether tapes can be written with it: AES-256 and nothing else."""
        return self.algorithm.upper() == "AES" and len(self.material.reveal()) == 32


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key in PKCS #8 DER with its certificates in DER, its own first."""

    alias: str
    created_ms: int
    pkcs8: Secret
    chain: tuple[bytes, ...] = field(repr=False)


Entry: TypeAlias = ProtectedKey | TrustedCertificate
Key: TypeAlias = SecretKey | PrivateKey
