"""How well the store is kept: its trail, its size, its backups, its slots, certificates, what is degraded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Protocol

from qekm.backup.records import Backups
from qekm.expiring import Ending
from qekm.families import MOST, Family, count, gauge, one
from qekm.model import BackupState
from qekm.sealing.slot import kind_of
from qekm.slots import Slots

_US = 1_000_000


class Disk(Protocol):
    """The open store (qekm.store.Store)."""

    @property
    def size(self) -> int:
        """Return bytes of the file and its log."""

    @property
    def free(self) -> int:
        """Return bytes that are free beside it."""


class Trail(Protocol):
    """The same, without a look at the disk."""

    @property
    def trail_end(self) -> int:
        """Return how many records the trail has."""


def disk(store: Disk) -> Iterator[Family]:
    """Yield how large the store is; from a thread."""
    yield one("qekm_store_bytes", "Bytes of the store and its log.", store.size)
    yield one("qekm_store_free_bytes", "Bytes free on the store's file system.", store.free)


def trail(store: Trail) -> Iterator[Family]:
    """Yield how many records the trail has; it only grows, through all starts."""
    yield count("qekm_audit_records", "Records of the audit trail since the first.", store.trail_end)


def slots(found: Slots) -> Iterator[Family]:
    """Yield how many ways there are to open the keystore."""
    kinds = Counter(kind_of(slot.sealed) for slot in found)
    rows = (((kind or "unknown",), kinds[kind]) for kind in sorted(kinds))
    yield gauge("qekm_slots", "Slots of the keystore by kind.", rows, "kind")


def trouble(read_only: str, degraded: Iterable[str], logs: Iterable[str]) -> Iterator[Family]:
    """Yield how many things are not as they should be."""
    yield one("qekm_read_only", "Whether no new keys are given.", bool(read_only))
    lines = "Things that status says of backups, peers, logs and properties."
    yield one("qekm_degraded_lines", lines, len(list(degraded)))
    yield one("qekm_log_troubles", "Logs that cannot be written.", len(list(logs)))


def backups(found: Backups, has_target: bool, failures: int, created_seq: int) -> Iterator[Family]:
    """Yield how old the newest good one is, and when a person last opened one; a time of 0 is never.

    failures: tries that failed since the last good one. created_seq: of the newest key.
    """
    newest, last = found.newest(), found.last()
    failed = bool(failures) or (last is not None and last.state is BackupState.FAILED)
    covered = newest.created_seq if newest else 0
    made = newest.create_time_us / _US if newest else 0.0
    yield one("qekm_backup_failed", "Whether the last backup failed.", failed)
    yield one("qekm_backup_failures", "Backups that failed since the last good one.", failures)
    yield one("qekm_backup_newest_timestamp_seconds", "When the newest proved backup was made.", made)
    yield one("qekm_backup_target", "Whether there is a place for backups.", has_target)
    drilled = "When a person last opened a backup."
    yield one("qekm_backup_drill_timestamp_seconds", drilled, found.drill_us / _US)
    interval = "Between two backups; 0: only after new keys."
    yield one("qekm_backup_interval_seconds", interval, found.every_hours * 3_600)
    unprotected = "Keys that are in no proved backup."
    yield one("qekm_backup_missing_keys", unprotected, max(0, created_seq - covered))


def certificates(found: Iterable[Ending]) -> Iterator[Family]:
    """Yield when each certificate in force ends, the first MOST to end; of two of one name the first."""
    ordered = sorted(found, key=lambda ending: ending.end_us)[:MOST]
    rows = (((ending.role, ending.name), ending.end_us / _US) for ending in ordered)
    name, what = "qekm_certificate_expiry_timestamp_seconds", "When a certificate in force ends."
    yield gauge(name, what, rows, "role", "name")
