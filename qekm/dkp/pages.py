"""Read and write the T10 SSC-4 pages of protocol 20h that frames carry (docs/protocol.md, section 8)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from qekm.dkp.codes import Code, Fault

DKI_LENGTH = 12
NONCE_LENGTH = 32
NOT_ENCRYPTED = 3  # encryption status: the next block is in clear
KEY_PLAIN, KEY_WRAPPED = 0x00, 0x02  # key formats of page 0010h
_U_KAD, _A_KAD = 0x00, 0x01
_HEADER = struct.Struct(">HH")
_DESCRIPTOR = struct.Struct(">BBH")
_PUBLIC_KEY = struct.Struct(">HHIIH")
_SET_DATA_ENCRYPTION = struct.Struct(">HHBBBBBBBxxxxxxxH")
_RESERVED = bytes(7)  # bytes 11 to 17 of page 0010h
_SCOPE_ALL_NEXUS = 0x40
_CLEAR_ON_DEMOUNT = 0x04
_ALGORITHM_INDEX = 0x01


class PublicKeyType(IntEnum):
    """Public key types of page 0031h; the second is our extension."""

    RSA_2048 = 0x00000000
    RSA_3072 = 0x80000001

    @property
    def bits(self) -> int:
        """Return the exact length of the modulus in bits."""
        return 2048 if self is PublicKeyType.RSA_2048 else 3072

    @property
    def parameter_set(self) -> int:
        """Return the parameter set that names this type in a wrapped key of page 0010h."""
        return 0x0000 if self is PublicKeyType.RSA_2048 else 0x8001


_TYPES = {int(kind): kind for kind in PublicKeyType}


def public_key_page(modulus: int, exponent: int, bits: int = 2048) -> bytes:
    """Build page 0031h for an RSA key of 2048 or 3072 bits."""
    kind = PublicKeyType.RSA_2048 if bits == 2048 else PublicKeyType.RSA_3072
    size = kind.bits // 8
    key = modulus.to_bytes(size) + exponent.to_bytes(size)
    return _PUBLIC_KEY.pack(0x0031, len(key) + 10, kind, 0, len(key)) + key


def parse_public_key_page(page: bytes) -> tuple[PublicKeyType, int, int]:
    """Return type, modulus and exponent of page 0031h; Fault EE2C unless it is exactly as section 8 says."""
    if len(page) < _PUBLIC_KEY.size:
        raise Fault(Code.EE2C, "page 0031h is too short")
    code, length, number, layout, key_length = _PUBLIC_KEY.unpack_from(page)
    kind = _TYPES.get(number)
    if code != 0x0031 or length != len(page) - 4 or layout != 0:
        raise Fault(Code.EE2C, "page 0031h is malformed")
    if kind is None or key_length != kind.bits // 4 or len(page) != _PUBLIC_KEY.size + key_length:
        raise Fault(Code.EE2C, "page 0031h: key type or size is not allowed")
    middle = _PUBLIC_KEY.size + kind.bits // 8
    modulus, exponent = int.from_bytes(page[_PUBLIC_KEY.size : middle]), int.from_bytes(page[middle:])
    if modulus.bit_length() != kind.bits or not modulus & 1:
        raise Fault(Code.EE2C, "page 0031h: modulus is not allowed")
    if not exponent & 1 or not 65537 <= exponent < 2**32:
        raise Fault(Code.EE2C, "page 0031h: exponent is not allowed")
    return kind, modulus, exponent


def random_number_page(nonce: bytes) -> bytes:
    """Build page 0030h from 32 random bytes."""
    return b"\x00\x30\x00\x20" + nonce


def parse_random_number_page(page: bytes) -> bytes:
    """Return the 32 bytes of page 0030h; Fault EE23."""
    if len(page) != 4 + NONCE_LENGTH or not page.startswith(b"\x00\x30\x00\x20"):
        raise Fault(Code.EE23, "page 0030h is malformed")
    return page[4:]


def _descriptors(data: bytes, offset: int) -> list[tuple[int, int, bytes]]:
    """Split descriptors `type(1) second(1) length(2) data` up to the end; Fault EE23 if one overruns."""
    found = []
    size = len(data)
    while offset < size:
        if size - offset < 4:
            raise Fault(Code.EE23, "a descriptor is cut off")
        kind, second, length = _DESCRIPTOR.unpack_from(data, offset)
        offset += 4 + length
        if offset > size:
            raise Fault(Code.EE23, "a descriptor runs past its page")
        found.append((kind, second, data[offset - length : offset]))
    return found


def next_block_status_page(status: int, dki: bytes | None = None, object_number: int = 0) -> bytes:
    """Build page 0021h: encryption status, the A-KAD if a DKi is given, the logical object number."""
    kads = b"" if dki is None else _DESCRIPTOR.pack(_A_KAD, 1, len(dki)) + dki
    head = object_number.to_bytes(8) + bytes((status, _ALGORITHM_INDEX, 0, 0))
    return _HEADER.pack(0x0021, len(head) + len(kads)) + head + kads


def akad_of(page: bytes) -> bytes | None:
    """Return the DKi (12 bytes, padded with 00h) that page 0021h names, None if it names none; Fault EE23."""
    if len(page) < 16 or _HEADER.unpack_from(page) != (0x0021, len(page) - 4):
        raise Fault(Code.EE23, "page 0021h is malformed")
    akads = [data for kind, _, data in _descriptors(page, 16) if kind == _A_KAD]
    if not akads:
        return None
    if len(akads) > 1 or not 1 <= len(akads[0]) <= DKI_LENGTH:
        raise Fault(Code.EE23, "page 0021h: A-KAD is malformed")
    return akads[0].ljust(DKI_LENGTH, b"\0")


def encryption_status(page: bytes) -> int:
    """Return the status in page 0021h: 3 in clear, 5 readable, 6 key missing or wrong; Fault EE23."""
    if len(page) < 16:
        raise Fault(Code.EE23, "page 0021h is malformed")
    return page[12] & 0x0F


@dataclass(frozen=True, slots=True)
class SetDataEncryption:
    """Page 0010h as this protocol uses it: all nexuses, algorithm index 01h, one A-KAD."""

    clear_on_demount: bool
    encryption_mode: int
    decryption_mode: int
    key_format: int
    key: bytes = field(repr=False)
    dki: bytes


def serialize_set_data_encryption(page: SetDataEncryption) -> bytes:
    """Build page 0010h."""
    head = _SET_DATA_ENCRYPTION.pack(
        0x0010,
        20 + len(page.key) + DKI_LENGTH,
        _SCOPE_ALL_NEXUS,
        _CLEAR_ON_DEMOUNT if page.clear_on_demount else 0,
        page.encryption_mode,
        page.decryption_mode,
        _ALGORITHM_INDEX,
        page.key_format,
        0,
        len(page.key),
    )
    return b"".join((head, page.key, b"\x01\x00\x00\x0c", page.dki))


def parse_set_data_encryption(page: bytes) -> SetDataEncryption:
    """Return page 0010h; Fault EE23 unless every byte is one that section 8 allows."""
    if len(page) < _SET_DATA_ENCRYPTION.size:
        raise Fault(Code.EE23, "page 0010h is too short")
    code, length, scope, byte5, encrypt, decrypt, index, key_format, kad_format, key_length = (
        _SET_DATA_ENCRYPTION.unpack_from(page)
    )
    kads = 20 + key_length
    if code != 0x0010 or length != len(page) - 4 or page[11:18] != _RESERVED or kad_format != 0:
        raise Fault(Code.EE23, "page 0010h is malformed")
    if scope != _SCOPE_ALL_NEXUS or byte5 not in (0, _CLEAR_ON_DEMOUNT) or index != _ALGORITHM_INDEX:
        raise Fault(Code.EE23, "page 0010h: scope, control byte or algorithm is not allowed")
    if key_format not in (KEY_PLAIN, KEY_WRAPPED) or len(page) != kads + 4 + DKI_LENGTH:
        raise Fault(Code.EE23, "page 0010h: key format or length is not allowed")
    if page[kads : kads + 4] != b"\x01\x00\x00\x0c":
        raise Fault(Code.EE23, "page 0010h must name one A-KAD of 12 bytes")
    return SetDataEncryption(byte5 != 0, encrypt, decrypt, key_format, page[20:kads], page[kads + 4 :])


def build_plain_page(ckod: bool, encryption_mode: int, decryption_mode: int, key: bytes, dki: bytes) -> bytes:
    """Build page 0010h with the key in clear (format 00h): from a bridge to its drive, never in a frame."""
    return serialize_set_data_encryption(
        SetDataEncryption(ckod, encryption_mode, decryption_mode, KEY_PLAIN, key, dki)
    )


def build_wrapped_page(
    ckod: bool,
    encryption_mode: int,
    decryption_mode: int,
    parameter_set: int,
    label: bytes,
    wrapped: bytes,
    dki: bytes,
) -> bytes:
    """Build page 0010h with the key wrapped by the drive session key (format 02h)."""
    key = b"".join(
        (_HEADER.pack(parameter_set, len(label)), label, len(wrapped).to_bytes(2), wrapped, b"\x00\x00")
    )
    return serialize_set_data_encryption(
        SetDataEncryption(ckod, encryption_mode, decryption_mode, KEY_WRAPPED, key, dki)
    )


def split_wrapped_key(key: bytes) -> tuple[int, bytes, bytes]:
    """Return parameter set, label and wrapped key of a key of format 02h; Fault EE23."""
    if len(key) < 8:
        raise Fault(Code.EE23, "the wrapped key is too short")
    parameter_set, label_length = _HEADER.unpack_from(key)
    start = 6 + label_length
    if start > len(key) - 2:
        raise Fault(Code.EE23, "the label runs past the wrapped key")
    end = start + int.from_bytes(key[start - 2 : start])
    if end != len(key) - 2 or key[end:] != b"\x00\x00":
        raise Fault(Code.EE23, "the wrapped key has a wrong length or a signature")
    return parameter_set, key[4 : start - 2], key[start:end]


def build_label(
    wwnn: bytes,
    server_spki_sha256: bytes,
    session_id: int,
    sequence: int,
    nonce: bytes,
    dki: bytes,
    dcert_sha256: bytes,
) -> bytes:
    """Build the full label: it binds a wrapped key to drive, server, session, frame, DKi and certificate."""
    return b"".join(
        (
            b"\x00\x00\x00\x08",
            wwnn,
            b"\x01\x00\x00\x20",
            server_spki_sha256,
            b"\x02\x00\x00\x2c",
            session_id.to_bytes(8),
            sequence.to_bytes(4),
            nonce,
            b"\x03\x00\x00\x0c",
            dki,
            b"\x04\x00\x00\x02\x01\x00\x80\x00\x00\x20",
            dcert_sha256,
        )
    )


def build_t10_label(wwnn: bytes) -> bytes:
    """Build the short label of drives entered with label=t10: descriptors 00h and 04h only."""
    return b"".join((b"\x00\x00\x00\x08", wwnn, b"\x04\x00\x00\x02\x01\x00"))


def parse_label(label: bytes) -> tuple[tuple[int, bytes], ...]:
    """Return a label's descriptors as (type, data), each type once and ascending; Fault EE23."""
    found = _descriptors(label, 0)
    kinds = [kind for kind, _, _ in found]
    if kinds != sorted(set(kinds)) or any(reserved for _, reserved, _ in found):
        raise Fault(Code.EE23, "label descriptors are out of order or malformed")
    return tuple((kind, data) for kind, _, data in found)
