"""A backup's file, bytes in and bytes out. All numbers are big-endian.

| bytes      | what                                                                              | module    |
|------------|-----------------------------------------------------------------------------------|-----------|
| 8          | "QEKMBACK"                                                                        | cover.py  |
| 1          | version of the format, 1                                                          | cover.py  |
| 4 + n      | length (at most 4,096) and the header: canonical JSON                             | header.py |
| 1          | how many slots follow, 1 to 64                                                    | cover.py  |
|   1 + n    | of each its name,                                                                 |           |
|   1 + n    | its kind,                                                                         |           |
|   2 + n    | and the sealed root key                                                           |           |
| 1 + n      | the stream's key, wrapped under the root key's backup key and bound to the        | cover.py  |
|            | SHA-256 of everything before (`about`)                                            |           |
| n x 65,552 | chunks of 65,536 bytes and their tags: AES-256-GCM, bound to `about`; nonce:      | stream.py |
|            | number (11 bytes) and whether it is the last (1 byte)                             |           |
| 16..65,552 | the last chunk                                                                    | stream.py |
| 32         | SHA-256 of everything before                                                      | here      |
| 64         | Ed25519 signature of the audit key, which the header names, over "QEKM BACKUP 1"  | here      |
|            | and that SHA-256                                                                  |           |

The plaintext is the members (members.py): the store's file, the configuration, the audit trail's public key.
The digest and the signature are for whoever has no secret: they tell damage on the way, and who made it.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from qekm.backup.cover import MOST_BYTES, Cover
from qekm.backup.stream import Decryptor, Encryptor
from qekm.errors import BackupDamaged
from qekm.secret import Secret

DIGEST, SIGNATURE = 32, 64
TRAILER = DIGEST + SIGNATURE
_SIGNED = b"QEKM BACKUP 1"

Sign = Callable[[bytes], bytes]  # Ed25519 of the audit key
Unwrap = Callable[[Cover], Secret]  # the stream's key; BackupDamaged, or what a slot raises


class Writer:
    """The members' plaintext in, the file's bytes out."""

    def __init__(self, cover: Cover, key: Secret, sign: Sign) -> None:
        self._cover, self._sign = cover, sign
        self._stream = Encryptor(key, cover.about)
        self._digest = sha256()
        self._begun = False

    def feed(self, plain: bytes) -> bytes:
        """Take more of the members; return what can be written."""
        front = b"" if self._begun else self._cover.serialize()
        self._begun = True
        return self._counted(front + self._stream.feed(plain))

    def close(self) -> bytes:
        """Return the rest of the file."""
        last = self.feed(b"") + self._counted(self._stream.close())
        digest = self._digest.digest()
        return last + digest + self._sign(_SIGNED + digest)

    def _counted(self, content: bytes) -> bytes:
        self._digest.update(content)
        return content


class Reader:
    """The file's bytes in, the members' plaintext out, each chunk of it authentic. BackupDamaged."""

    decryptor = Decryptor  # a test has a build that forgets the tag

    def __init__(self, unwrap: Unwrap) -> None:
        """`unwrap`: called once, as soon as the cover is there."""
        self._unwrap = unwrap
        self._waiting = bytearray()  # before the cover is whole: all of it; then what may be the trailer
        self._digest = sha256()
        self._stream: Decryptor | None = None
        self.cover: Cover | None = None

    def feed(self, content: bytes) -> bytes:
        """Take more of the file; return the plaintext that is known by now."""
        self._waiting += content
        if self._stream is None and not self._open():
            return b""
        assert self._stream is not None
        return self._stream.feed(self._taken(len(self._waiting) - TRAILER))

    def close(self) -> bytes:
        """Return the last of the plaintext, having seen that the file is whole and of its audit key."""
        if self._stream is None or self.cover is None or len(self._waiting) < TRAILER:
            raise BackupDamaged("the backup is cut off")
        plain = self._stream.close()
        digest, signature = bytes(self._waiting[:DIGEST]), bytes(self._waiting[DIGEST:])
        check_trailer(self.cover, self._digest.digest(), digest, signature)
        return plain

    def _open(self) -> bool:
        """Read the cover, if it is whole, and have the stream's key unwrapped."""
        found = Cover.parse(bytes(self._waiting))
        if found is None:
            if len(self._waiting) > MOST_BYTES:
                raise BackupDamaged("the backup's cover does not end")
            return False
        self.cover, length = found
        with self._unwrap(self.cover) as key:
            self._stream = self.decryptor(key, self.cover.about)
        self._taken(length)
        return True

    def _taken(self, length: int) -> bytes:
        taken = bytes(self._waiting[: max(length, 0)])
        del self._waiting[: len(taken)]
        self._digest.update(taken)
        return taken


def check_trailer(cover: Cover, found: bytes, digest: bytes, signature: bytes) -> None:
    """Raise BackupDamaged unless a trailer is that of the bytes before it, of digest `found`."""
    if found != digest:
        raise BackupDamaged("the backup is not what was written: its digest is another")
    try:
        Ed25519PublicKey.from_public_bytes(cover.header.audit_key).verify(signature, _SIGNED + digest)
    except (InvalidSignature, ValueError):
        raise BackupDamaged("the backup's signature does not hold") from None
