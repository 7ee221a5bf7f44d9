"""The keys in a drive: its session key (DSK), which it makes and signs, and the data key that it is given."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import rsa

from qekm.dkp.pages import public_key_page
from qekm.dkp.signed import dsk_signed_bytes, join_dsk_list
from qekm_gateway.simulator.signatures import Signer

ENCRYPT, DECRYPT, DECRYPT_MIXED = 2, 2, 3  # modes of T10 page 0010h


@dataclass(frozen=True, slots=True)
class SessionKey:
    """A drive session key: the private half, and TLV 0122, which the drive signed over the public half."""

    private: rsa.RSAPrivateKey
    dsk_list: bytes
    create_time_us: int


@dataclass(frozen=True, slots=True)
class InstalledKey:
    """A data key as page 0010h set it."""

    alias: str
    dki: bytes
    material: bytes = field(repr=False)
    encryption_mode: int = ENCRYPT
    decryption_mode: int = DECRYPT_MIXED


def make_session_key(serial: str, signer: Signer, private: rsa.RSAPrivateKey, now_us: int) -> SessionKey:
    """Let a drive's authentication key sign a session key; its serial is the hour it was made in."""
    numbers = private.public_key().public_numbers()
    page = public_key_page(numbers.n, numbers.e)
    dsk_serial = now_us // 3_600_000_000
    signature = signer.sign(dsk_signed_bytes(serial.encode(), dsk_serial, page))
    return SessionKey(private, join_dsk_list(dsk_serial, page, signer.type, signature), now_us)
