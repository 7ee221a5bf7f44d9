"""A backup in memory, small enough that every byte of it can be altered."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qekm.backup.codec import Reader, Writer
from qekm.backup.cover import Cover, cover_of
from qekm.backup.header import Header
from qekm.backup.members import NAMES, Sorter, head_of
from qekm.errors import BackupDamaged
from qekm.sealing import KeyRing
from qekm.secret import Secret

ESTATE = bytes(range(16))


@dataclass
class Maker:
    """Someone with a root key who writes and reads backups of members that a test names."""

    ring: KeyRing = field(default_factory=lambda: KeyRing(Secret(os.urandom(32)), ESTATE))
    audit_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    slots: dict[str, bytes] = field(default_factory=lambda: {"key-file": bytes(200), "shares": bytes(200)})

    @property
    def header(self) -> Header:
        """A header of this maker's."""
        public = self.audit_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return Header(ESTATE, 1, 7, bytes(32), 3, 3, 1, 1, 4, bytes(32), public, 1, "9.9.9")

    def make(self, *contents: bytes) -> bytes:
        """Return a backup of these members."""
        key = Secret(os.urandom(32))
        cover = cover_of(self.header, self.slots, lambda about: self.ring.wrap_backup(key, about))
        writer = Writer(cover, key, self.audit_key.sign)
        parts = [
            writer.feed(head_of(name, len(content))) + writer.feed(content)
            for name, content in zip(NAMES, contents, strict=True)
        ]
        return b"".join(parts) + writer.close()

    def unwrap(self, cover: Cover) -> Secret:
        """Return the key of a backup."""
        key = self.ring.unwrap_backup(cover.wrapped, cover.about)
        if key is None:
            raise BackupDamaged("another estate's")
        return key

    def read(self, content: bytes, step: int = 1 << 20, reader: type[Reader] = Reader) -> dict[str, bytes]:
        """Return the members of a backup that is read in steps; BackupDamaged."""
        source, sorter, found = reader(self.unwrap), Sorter(), dict.fromkeys(NAMES, b"")
        pieces = [source.feed(content[start : start + step]) for start in range(0, len(content), step)]
        for piece in (*pieces, source.close()):
            for name, part in sorter.feed(piece):
                found[name] += part
        sorter.close()
        return found
