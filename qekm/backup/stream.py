"""The encrypted part of a backup: chunks of 64 KiB under AES-256-GCM, the last one marked.

STREAM (Hoang, Reyhanitabar, Rogaway and Vizár, CRYPTO 2015): the nonce of a chunk is its number and whether
it is the last one, so that a chunk left out, moved, repeated or added, and an end that came too early, are
found at the chunk where it happens. The key is that of one backup only, so that no nonce meets another one's.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from qekm.errors import BackupDamaged
from qekm.secret import Secret

CHUNK = 65_536  # bytes of plaintext
TAG = 16
SEALED = CHUNK + TAG
_NUMBER = 11  # bytes of a chunk's number in its nonce; one more tells the last


class Encryptor:
    """Plaintext in, whole chunks out; `close` gives the last one, which is empty only if everything was."""

    def __init__(self, key: Secret, about: bytes) -> None:
        """`about`: what every chunk is bound to."""
        self._cipher, self._about = AESGCM(key.reveal()), about
        self._waiting = bytearray()
        self._number = 0

    def feed(self, plain: bytes) -> bytes:
        """Take more; return the chunks that are known not to be the last."""
        self._waiting += plain
        sealed = []
        while len(self._waiting) > CHUNK:
            sealed.append(self._seal(bytes(self._waiting[:CHUNK]), last=False))
            del self._waiting[:CHUNK]
        return b"".join(sealed)

    def close(self) -> bytes:
        """Return the last chunk."""
        return self._seal(bytes(self._waiting), last=True)

    def _seal(self, chunk: bytes, *, last: bool) -> bytes:
        nonce = nonce_of(self._number, last=last)
        self._number += 1
        return self._cipher.encrypt(nonce, chunk, self._about)


class Decryptor:
    """Ciphertext in, plaintext of authentic chunks out; everything else is BackupDamaged."""

    def __init__(self, key: Secret, about: bytes) -> None:
        self._cipher, self._about = AESGCM(key.reveal()), about
        self._waiting = bytearray()
        self._number = 0

    def feed(self, sealed: bytes) -> bytes:
        """Take more; return what is known not to be the last chunk."""
        self._waiting += sealed
        plain = []
        while len(self._waiting) > SEALED:
            plain.append(self._open(bytes(self._waiting[:SEALED]), last=False))
            del self._waiting[:SEALED]
        return b"".join(plain)

    def close(self) -> bytes:
        """Return the last chunk."""
        chunk = self._open(bytes(self._waiting), last=True)
        if not chunk and self._number > 1:
            raise BackupDamaged("the backup's last chunk is empty")
        return chunk

    def _open(self, chunk: bytes, *, last: bool) -> bytes:
        nonce = nonce_of(self._number, last=last)
        self._number += 1
        try:
            return self.opened(self._cipher, nonce, chunk)
        except (InvalidTag, ValueError):  # ValueError: shorter than a tag
            what = f"chunk {self._number:,} of the backup does not verify: it was altered or cut off"
            raise BackupDamaged(what) from None

    def opened(self, cipher: AESGCM, nonce: bytes, chunk: bytes) -> bytes:
        """Return a chunk's plaintext; InvalidTag. A test has a build that forgets the tag."""
        return cipher.decrypt(nonce, chunk, self._about)


def nonce_of(number: int, *, last: bool) -> bytes:
    """Return the nonce of a chunk: 11 bytes of its number, one that tells the last."""
    return number.to_bytes(_NUMBER) + bytes([last])
