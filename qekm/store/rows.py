"""How each noun stands in its table, as a tuple in the order of its columns; nouns.py is the way back. Pure.

Enumerations go out as plain ints: the driver is three times slower with subclasses of int.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Table

from qekm.model import (
    Account,
    Approval,
    AuditRecord,
    Authority,
    Backup,
    BlockedKey,
    Cartridge,
    Certificate,
    Checkpoint,
    Cursor,
    Drive,
    Group,
    Key,
    Partner,
    Peer,
    Setting,
    SharedProperty,
    Slot,
    Vault,
)
from qekm.store import tables

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """A noun's table, the columns that a later write may change (None: only ever inserted), and its row.

    to_row: the values without the MAC, and without the number that the store counts where nothing is mutable.
    version: the column by which a late write of an older state is told from a newer one; empty if none.
    """

    table: Table
    mutable: tuple[str, ...] | None
    to_row: Callable[[Any], Row]
    version: str = ""

    @property
    def version_at(self) -> int:
        """Return the place of the version in a row; -1 if there is none."""
        return [column.name for column in self.table.columns].index(self.version) if self.version else -1


@lru_cache(1_000)  # thousands of drives may allow the same groups
def _names(names: tuple[str, ...]) -> str:
    return json.dumps(names) if names else "[]"


def _key(key: Key) -> Row:
    return (
        key.key_id,
        key.alias,
        key.dki,
        key.created_seq,
        key.create_time_us,
        key.epoch,
        key.sealed,
        key.check_value,
        key.group,
        int(key.state),
        key.version,
        key.assign_time_us,
        key.drive_serial,
        key.volser,
        key.mount_id,
        key.destroy_time_us,
        key.former,
        key.origin,
    )


def _drive(drive: Drive) -> Row:
    return (
        drive.serial,
        int(drive.state),
        drive.create_time_us,
        drive.wwnn,
        drive.vendor,
        drive.product,
        drive.firmware,
        drive.spki_sha256,
        drive.last_seen_time_us,
        _names(drive.allowed_groups),
        drive.group,
        drive.alias,
        int(drive.confirm),
        int(drive.label_mode),
        drive.library_serial,
    )


def _certificate(leaf: Certificate) -> Row:
    return (
        leaf.serial,
        int(leaf.role),
        leaf.name,
        leaf.start_time_us,
        leaf.expire_time_us,
        leaf.authority,
        leaf.revoke_time_us,
        _names(leaf.hosts),
    )


def _authority(ca: Authority) -> Row:
    return (ca.fingerprint, ca.certificate, ca.subject, ca.expire_time_us, ca.create_time_us)


def _group(group: Group) -> Row:
    return (group.name, int(group.on_exhaustion), int(group.is_default), group.create_time_us)


def _approval(item: Approval) -> Row:
    return (
        item.approval_id,
        item.action,
        item.digest,
        item.summary,
        item.requester,
        item.create_time_us,
        item.expire_time_us,
        int(item.state),
        item.decider,
        item.decide_time_us,
    )


def _backup(item: Backup) -> Row:
    return (
        item.name,
        item.create_time_us,
        item.epoch,
        item.sequence,
        item.created_seq,
        item.key_count,
        item.size,
        item.sha256,
        item.target,
        int(item.independent),
        int(item.state),
        item.verify_time_us,
        item.drill_time_us,
        item.message,
    )


def _partner(item: Partner) -> Row:
    return (
        item.name,
        item.certificate,
        item.fingerprint,
        item.signer,
        item.expire_time_us,
        item.create_time_us,
    )


def _account(item: Account) -> Row:
    return (
        item.actor,
        item.verifier,
        item.create_time_us,
        item.password_time_us,
        item.wrong,
        item.locked_until_us,
    )


def _peer(item: Peer) -> Row:
    return (
        item.name,
        item.address,
        item.instance,
        item.epoch,
        int(item.state),
        item.spki_sha256,
        item.create_time_us,
        item.join_time_us,
    )


def _cursor(item: Cursor) -> Row:
    return (item.peer, item.instance, item.received, item.compare_time_us)


def _checkpoint(item: Checkpoint) -> Row:
    return (
        item.instance,
        item.epoch,
        item.commit,
        item.root,
        item.sequence,
        item.hash,
        item.signature,
        item.public_key,
        item.time_us,
    )


def _slot(slot: Slot) -> Row:
    return (slot.name, slot.sealed, slot.kind, slot.create_time_us)


def _cartridge(use: Cartridge) -> Row:
    return (use.volser, use.alias, use.drive_serial, use.drive_wwnn, use.write_time_us)


def link_row(sequence: int, record: AuditRecord, hash_: bytes) -> Row:
    """Return the audit table's row of one link, its signature (the last column) still open."""
    return (
        sequence,
        record.time_us,
        record.event,
        int(record.outcome),
        record.actor,
        record.drive_serial,
        record.drive_wwnn,
        record.volser,
        record.alias,
        record.code,
        record.message,
        record.count,
        hash_,
        None,
    )


def _all_but_key(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if not column.primary_key)


# In the order in which rows are written (foreign keys). A row is written whole, as its MAC covers it.
# Audit records and entries of the journal are not here: the plan numbers them.
SHAPES: Mapping[type, Shape] = {
    Setting: Shape(tables.settings, _all_but_key(tables.settings), lambda item: (item.name, item.value)),
    Slot: Shape(tables.slots, _all_but_key(tables.slots), _slot),
    Vault: Shape(
        tables.vaults,
        _all_but_key(tables.vaults),
        lambda item: (item.name, item.sealed, item.certificate),
    ),
    Authority: Shape(tables.authorities, _all_but_key(tables.authorities), _authority),
    Certificate: Shape(tables.certificates, _all_but_key(tables.certificates), _certificate),
    BlockedKey: Shape(
        tables.blocked_keys,
        _all_but_key(tables.blocked_keys),
        lambda item: (item.spki_sha256, item.create_time_us),
    ),
    Group: Shape(tables.groups, _all_but_key(tables.groups), _group),
    Key: Shape(
        tables.keys,
        _all_but_key(tables.keys),
        _key,
        "version",
    ),
    Drive: Shape(tables.drives, _all_but_key(tables.drives), _drive),
    Cartridge: Shape(tables.cartridges, None, _cartridge),
    Approval: Shape(tables.approvals, _all_but_key(tables.approvals), _approval),
    Backup: Shape(tables.backups, _all_but_key(tables.backups), _backup),
    Partner: Shape(tables.partners, _all_but_key(tables.partners), _partner),
    Account: Shape(tables.accounts, _all_but_key(tables.accounts), _account),
    Peer: Shape(tables.peers, _all_but_key(tables.peers), _peer),
    Checkpoint: Shape(tables.checkpoints, _all_but_key(tables.checkpoints), _checkpoint),
    SharedProperty: Shape(
        tables.shared_properties,
        _all_but_key(tables.shared_properties),
        lambda item: (item.name, item.value),
    ),
    Cursor: Shape(tables.cursors, _all_but_key(tables.cursors), _cursor),
}

# All else stays for ever; a destroyed key too leaves its row.
REMOVABLE = (Drive, Group, Authority, BlockedKey, Slot, Partner, Account, SharedProperty, Cursor)
