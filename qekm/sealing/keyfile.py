"""The key file's slot: unattended start."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qekm.errors import BadConfiguration
from qekm.sealing.slot import ROOT_LENGTH, Cost, Derive, RandomBytes, read_slot, write_slot
from qekm.secret import Secret


class KeyFileSealer:
    """A file of 32 random bytes that only its owner may read: unattended start."""

    kind = "key-file"

    def __init__(self, path: Path, *, random_bytes: RandomBytes = os.urandom) -> None:
        self._path = path
        self._random_bytes = random_bytes

    def create(self) -> None:
        """Make the file, 0600 and durable; BadConfiguration if it cannot be made or exists."""
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            handle = os.open(self._path, flags, 0o600)
            try:
                os.write(handle, self._random_bytes(ROOT_LENGTH))
                os.fsync(handle)
            finally:
                os.close(handle)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise BadConfiguration(f"cannot make the key file {self._path}: {error.strerror}") from None

    def seal(self, root: Secret) -> bytes:
        """Return a slot that this file opens."""
        return write_slot(self.kind, Cost(0, 0, 0), root, self._derive(), self._random_bytes)

    def unseal(self, slot: bytes) -> Secret:
        """Return the root key; BadConfiguration if the file is missing, or not a key file of our own."""
        return read_slot(self.kind, slot, self._derive())

    def _derive(self) -> Derive:
        content = self._read()
        return lambda salt, _: HKDF(SHA256(), ROOT_LENGTH, salt, b"QEKM SLOT 1 key-file").derive(content)

    def _read(self) -> bytes:
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise self._bad(f"cannot be read: {error.strerror}", "name it with --key-file") from None
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise self._bad("is not a regular file", "name the file itself, no link or device")
            if status.st_mode & 0o077:
                raise self._bad("can be read by others", f"make it private: chmod 600 {self._path}")
            content = os.read(handle, ROOT_LENGTH + 1)
        finally:
            os.close(handle)
        if len(content) != ROOT_LENGTH:
            raise self._bad(f"does not hold {ROOT_LENGTH} bytes", "name the key file that init made")
        return content

    def _bad(self, what: str, hint: str) -> BadConfiguration:
        return BadConfiguration(f"the key file {self._path} {what}", hint=hint, file=str(self._path))
