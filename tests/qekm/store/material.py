"""Nouns for the store's tests; what they seal is random, for the store never looks inside."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qekm.model import AuditRecord, Change, Group, Key, KeyState, OnExhaustion, Outcome, Slot
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.store import GENESIS, Link, Locked, Store, head_message, link, schema

ESTATE = bytes(range(16))
SLOTS = (
    Slot("key-file", b"a sealed root key", "key-file", 3),
    Slot("password", b"the same in another slot", "password", 4),
)


class Ring(KeyRing):
    """A real ring, which opens keys that were never sealed under it, too."""

    def open_key(self, key: Key) -> Secret:
        """Return nothing of use."""
        return Secret(b"")


RING = Ring(Secret(bytes(32)), ESTATE)


def unlock(_: Locked) -> KeyRing:
    """Open any store of these tests."""
    return RING


DEFAULT = Group("default", OnExhaustion.REFILL, True, 1)
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(32))


def make_key(number: int, state: KeyState = KeyState.READY, version: int = 1, **changed: object) -> Key:
    """Return key `number`, the same material at every call."""
    digest = hashlib.sha256(number.to_bytes(4, "big")).digest()
    alias, dki = f"QKM000000000000{number:06X}", b"QKM" + number.to_bytes(9, "big")
    key = Key(digest[:16], alias, dki, number, 5, 1, digest * 2, digest[:4], "default", state, version)
    return replace(key, **changed) if changed else key  # type: ignore[arg-type]


def make_record(text: str, **fields: object) -> AuditRecord:
    """Return an audit record that says `text`."""
    return AuditRecord(7, "key.serve", Outcome.INTENT, "drive", message=text, **fields)  # type: ignore[arg-type]


def create(directory: Path, *changes: Change) -> Path:
    """Make a store with the default group and these changes; return its file."""
    path = directory / "store" / "qekm.db"
    Store.create(path, ESTATE, RING.seals, [*SLOTS, DEFAULT, *changes], sign_head=SIGNER.sign)
    return path


def verify(links: list[Link]) -> int:
    """Check every link, and every signature there is; return how many were signed (one per commit)."""
    hash_, signed = GENESIS, 0
    for place, item in enumerate(links, 1):
        hash_ = link(hash_, place, item.record)
        assert (item.sequence, item.hash) == (place, hash_)
        if item.signature is not None:
            SIGNER.public_key().verify(item.signature, head_message(place, hash_))
            signed += 1
    assert not links or links[-1].signature is not None
    return signed


NEXT = '''
"""A revision of tests only."""
import os
from alembic import op
import sqlalchemy as sa
revision, down_revision = "9999", "0004"
def upgrade():
    op.add_column("keys", sa.Column("colour", sa.Text, nullable=False, server_default="blue"))
    {ending}
'''


def next_schema(directory: Path, ending: str = "") -> schema.Schema:
    """Return the present schema and one revision more, which ends with a statement of the test's."""
    directory.mkdir()
    (directory / "r9999_colour.py").write_text(NEXT.format(ending=ending))
    return schema.Schema((*schema.PRESENT.revisions, "9999"), (*schema.PRESENT.directories, directory))
