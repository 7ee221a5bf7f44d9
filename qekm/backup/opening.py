"""Open a backup with what opens one of its slots. No I/O but the sealer's own."""

from __future__ import annotations

from qekm.backup.cover import Cover
from qekm.backup.proving import OpenRing
from qekm.errors import BackupDamaged, StoreDamaged
from qekm.sealing import KeyRing, Sealer
from qekm.secret import Secret
from qekm.slots import opened


def opener(sealer: Sealer) -> OpenRing:
    """Return what makes a backup's ring; it raises UnknownSlot, BadPassword, TokenAway, BackupDamaged."""

    def open_ring(cover: Cover) -> KeyRing:
        with root_of(cover, sealer) as root:
            return ring_of(cover, root)

    return open_ring


def root_of(cover: Cover, sealer: Sealer) -> Secret:
    """Return the root key from the first slot of a backup that a sealer opens; as `opener`."""
    try:
        return opened(cover.slots, sealer)[1]
    except StoreDamaged as error:
        raise BackupDamaged(f"in the backup {error.message}", backup=cover.header.name) from error


def ring_of(cover: Cover, root: Secret) -> KeyRing:
    """Return the ring of a root key, for the estate and the record keys that a backup names."""
    header = cover.header
    return KeyRing(root, header.estate, versions=range(header.oldest, header.current + 1))
