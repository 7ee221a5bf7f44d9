"""The key file's slot: unattended start."""

from __future__ import annotations

import os
from pathlib import Path

from qekm.durable import create, sync_directory
from qekm.errors import BadConfiguration, BadFile
from qekm.sealing.privatefile import read_private
from qekm.sealing.slot import NO_COST, ROOT_LENGTH, RandomBytes, hkdf, read_slot, write_slot
from qekm.secret import Secret


class KeySealer:
    """The 32 bytes of a key file, wherever they were read."""

    kind = "key-file"

    def __init__(self, content: Secret, *, random_bytes: RandomBytes = os.urandom) -> None:
        """Take a key file's content; BadFile unless it has 32 bytes."""
        if len(content.reveal()) != ROOT_LENGTH:
            raise BadFile(f"a key file holds {ROOT_LENGTH} bytes", hint="give the file that init made")
        self._derive = hkdf(content, self.kind)
        self._random_bytes = random_bytes

    def seal(self, root: Secret) -> bytes:
        """Return a slot that this content opens."""
        return write_slot(self.kind, NO_COST, root, self._derive, self._random_bytes)

    def unseal(self, slot: bytes) -> Secret:
        """Return the root key; BadPassword, StoreDamaged."""
        return read_slot(self.kind, slot, self._derive, "key file")


class KeyFileSealer:
    """A file of 32 random bytes that only its owner may read: unattended start."""

    kind = "key-file"

    def __init__(
        self, path: Path, *, credentials: Path | None = None, random_bytes: RandomBytes = os.urandom
    ) -> None:
        """Name the file, read when it is used; `credentials` is where systemd puts this service's."""
        self._path = path
        self._credentials = credentials
        self._random_bytes = random_bytes

    def create(self) -> None:
        """Make the file, 0600 and durable; BadConfiguration if it cannot be made or exists."""
        try:
            create(self._path, self._random_bytes(ROOT_LENGTH))
            sync_directory(self._path.parent)
        except OSError as error:
            raise BadConfiguration(f"cannot make the key file {self._path}: {error.strerror}") from None

    def seal(self, root: Secret) -> bytes:
        """Return a slot that this file opens."""
        return self._content().seal(root)

    def unseal(self, slot: bytes) -> Secret:
        """Return the root key; BadConfiguration if the file is missing, or not a key file of our own."""
        return self._content().unseal(slot)

    def _content(self) -> KeySealer:
        option = "--key-file or keystore.keyFile"
        content = read_private(
            self._path, ROOT_LENGTH, title="key file", option=option, credentials=self._credentials
        )
        try:
            return KeySealer(Secret(content), random_bytes=self._random_bytes)
        except BadFile as error:
            what = f"the key file {self._path} does not hold {ROOT_LENGTH} bytes"
            raise BadConfiguration(what, hint=error.advice, file=str(self._path)) from None
