"""A cartridge as a file: a header, then records, each block enciphered by itself as an LTO-4 drive does it.

header (64 bytes)  "QEKMTAPE" version(1) recording(1: 0 blank, 1 clear, 2 encrypted) write-protected(1)
                   volser length(1) volser, padded with 00h
record             kind(1: 1 clear block, 2 encrypted block, 3 filemark) length(4) content
encrypted block    DKi(12) nonce(12) AES-256-GCM ciphertext with its 16-byte tag

The associated data of a block is b"QEKM BLOCK" || logical object number(8) || DKi, so a block that was
moved, or whose DKi was exchanged, fails its check. As on a tape, the DKi is the A-KAD and stands beside its
block in clear; nothing of the key is on the medium. A recording starts at the beginning of the tape and has
one key.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qekm.dkp.pages import NOT_ENCRYPTED, next_block_status_page
from qekm_gateway.simulator import sense
from qekm_gateway.simulator.keys import DECRYPT, DECRYPT_MIXED, ENCRYPT, InstalledKey
from qekm_gateway.simulator.sense import CheckCondition

BLOCK_LENGTH = 256 * 1024
MAX_BLOCK_LENGTH = 1 << 23  # READ BLOCK LIMITS of LTO-4: 8,388,608 bytes

_MAGIC, _HEADER_LENGTH = b"QEKMTAPE\x01", 64
# What a recording is, and, with the same numbers, what kind of blocks it has.
_BLANK, _CLEAR, _ENCRYPTED, _FILEMARK = 0, 1, 2, 3
_DKI_LENGTH, _NONCE_LENGTH, _TAG_LENGTH = 12, 12, 16
_OVERHEAD = _DKI_LENGTH + _NONCE_LENGTH + _TAG_LENGTH

# T10 page 0021h, byte 12, low nibble: encryption status of the next block.
_NOT_A_BLOCK, _READABLE, _KEY_MISSING = 2, 5, 6

_Seal = Callable[[int, bytes], tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it lies on the medium; content is a block's bytes, enciphered or not."""

    kind: int
    number: int
    content: bytes

    @property
    def dki(self) -> bytes:
        """The DKi beside an encrypted block; empty for anything else."""
        return self.content[:_DKI_LENGTH] if self.kind == _ENCRYPTED else b""


@dataclass(frozen=True, slots=True)
class Cartridge:
    """A cartridge file; its volser is in its header, as a barcode is on a label."""

    path: Path
    volser: str
    write_protected: bool = False

    def write(
        self,
        source: BinaryIO,
        key: InstalledKey | None,
        random_bytes: Callable[[int], bytes],
        block_length: int = BLOCK_LENGTH,
    ) -> int:
        """Record source from the beginning, end it with a filemark, sync; return the number of blocks.

        Without a key, or with its encryption mode 0, blocks are in clear. CheckCondition 07/27/00 for a
        write-protected cartridge.
        """
        if self.write_protected:
            raise CheckCondition(sense.DATA_PROTECT, sense.WRITE_PROTECTED)
        sealing = key if key is not None and key.encryption_mode == ENCRYPT else None
        seal = _sealer(sealing, random_bytes) if sealing else _in_clear
        number = 0
        with self.path.open("r+b") as medium:
            medium.write(_header(self.volser, _ENCRYPTED if sealing else _CLEAR, self.write_protected))
            while block := source.read(block_length):
                _put(medium, *seal(number, block))
                number += 1
            _put(medium, _FILEMARK, b"")
            medium.truncate()
            medium.flush()
            os.fsync(medium.fileno())
        return number

    def read(self, key: InstalledKey | None) -> Iterator[bytes]:
        """Yield the blocks before the first filemark; CheckCondition 08/00/05 if there is no filemark."""
        for record in self.records():
            if record.kind == _FILEMARK:
                return
            yield _open_block(record, key)
        raise CheckCondition(sense.BLANK_CHECK, sense.END_OF_DATA)

    def records(self) -> Iterator[Record]:
        """Yield every record; CheckCondition 03/31/00 where the file stops being a cartridge."""
        with self.path.open("rb") as medium:
            recording, _, _ = _parse_header(medium.read(_HEADER_LENGTH))
            least = {recording: _OVERHEAD if recording == _ENCRYPTED else 0, _FILEMARK: 0}
            number = 0
            while head := medium.read(5):
                length = int.from_bytes(head[1:], "big")
                content = medium.read(min(length, MAX_BLOCK_LENGTH + _OVERHEAD))
                whole = len(head) == 5 and len(content) == length
                if not whole or length < least.get(head[0], 1 << 32) or (length and head[0] == _FILEMARK):
                    raise CheckCondition(sense.MEDIUM_ERROR, sense.FORMAT_CORRUPTED)
                yield Record(head[0], number, content)
                number += 1

    def next_block_status(self, key: InstalledKey | None = None) -> bytes:
        """Return page 0021h for the first block: whether it is encrypted, and with which DKi."""
        record = next(self.records(), Record(_FILEMARK, 0, b""))
        if record.kind != _ENCRYPTED:
            return next_block_status_page(NOT_ENCRYPTED if record.kind == _CLEAR else _NOT_A_BLOCK)
        fits = key is not None and _decrypts(key) and key.dki == record.dki
        return next_block_status_page(_READABLE if fits else _KEY_MISSING, record.dki)


def create_cartridge(path: Path, volser: str, write_protected: bool = False) -> Cartridge:
    """Make a blank cartridge (mode 0600); FileExistsError if there is a file already."""
    header = _header(volser, _BLANK, write_protected)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as medium:
        medium.write(header)
    return Cartridge(path, volser, write_protected)


def load_cartridge(path: Path) -> Cartridge:
    """Read a cartridge's header; CheckCondition 03/31/00 if the file is not a cartridge."""
    with path.open("rb") as medium:
        _, protected, volser = _parse_header(medium.read(_HEADER_LENGTH))
    return Cartridge(path, volser, protected)


def _sealer(key: InstalledKey, random_bytes: Callable[[int], bytes]) -> _Seal:
    cipher = AESGCM(key.material)

    def seal(number: int, block: bytes) -> tuple[int, bytes]:
        nonce = random_bytes(_NONCE_LENGTH)
        return _ENCRYPTED, key.dki + nonce + cipher.encrypt(nonce, block, _associated(number, key.dki))

    return seal


def _in_clear(_number: int, block: bytes) -> tuple[int, bytes]:
    return _CLEAR, block


def _open_block(record: Record, key: InstalledKey | None) -> bytes:
    if record.kind == _CLEAR:
        if key is not None and key.decryption_mode == DECRYPT:
            raise CheckCondition(sense.DATA_PROTECT, sense.UNENCRYPTED_WHILE_DECRYPTING)
        return record.content
    if key is None or not _decrypts(key) or key.dki != record.dki:
        raise CheckCondition(sense.DATA_PROTECT, sense.INCORRECT_KEY)
    nonce = record.content[_DKI_LENGTH : _DKI_LENGTH + _NONCE_LENGTH]
    sealed = record.content[_DKI_LENGTH + _NONCE_LENGTH :]
    try:
        return AESGCM(key.material).decrypt(nonce, sealed, _associated(record.number, record.dki))
    except InvalidTag:
        raise CheckCondition(sense.DATA_PROTECT, sense.INTEGRITY_FAILED) from None


def _decrypts(key: InstalledKey) -> bool:
    return key.decryption_mode in (DECRYPT, DECRYPT_MIXED)


def _associated(number: int, dki: bytes) -> bytes:
    return b"QEKM BLOCK" + number.to_bytes(8, "big") + dki


def _put(medium: BinaryIO, kind: int, content: bytes) -> None:
    medium.write(bytes((kind,)) + len(content).to_bytes(4, "big"))
    medium.write(content)


def _header(volser: str, recording: int, write_protected: bool) -> bytes:
    name = volser.encode("ascii")
    if not 1 <= len(name) <= 32:
        raise ValueError("a volser has 1 to 32 ASCII characters")
    head = _MAGIC + bytes((recording, int(write_protected), len(name))) + name
    return head.ljust(_HEADER_LENGTH, b"\x00")


def _parse_header(header: bytes) -> tuple[int, bool, str]:
    whole = len(header) == _HEADER_LENGTH and header.startswith(_MAGIC)
    if not whole or not 1 <= header[11] <= 32:
        raise CheckCondition(sense.MEDIUM_ERROR, sense.FORMAT_CORRUPTED)
    return header[9], bool(header[10]), header[12 : 12 + header[11]].decode("ascii", "replace")
