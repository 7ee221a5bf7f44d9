"""How each noun stands in its table, and back. Pure; a row is a tuple in the order of the table's columns.

Enumerations go out as plain ints: the driver is three times slower with subclasses of int.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from qekm.model import (
    AuditRecord,
    Authority,
    BlockedKey,
    Cartridge,
    Certificate,
    Drive,
    DriveState,
    Group,
    Key,
    KeyState,
    LabelMode,
    OnExhaustion,
    Outcome,
    Role,
    Setting,
    Vault,
)
from qekm.store import tables
from qekm.store.chain import Link

Row = tuple[Any, ...]
Fields = Sequence[Any]

_KEY_STATES = {int(state): state for state in KeyState}  # a look-up costs a quarter of calling the class


@dataclass(frozen=True, slots=True)
class Shape:
    """A noun's table, the columns that a later write may change (None: only ever inserted), and its row.

    version: the column by which a late write of an older state is told from a newer one; empty if none.
    """

    table: Table
    mutable: tuple[str, ...] | None
    to_row: Callable[[Any], Row]
    version: str = ""


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


# In the order in which rows are written (foreign keys). A key's identity and material are written once.
# Audit records are not here: their rows come from the chain (link_row) and are only ever inserted.
SHAPES: Mapping[type, Shape] = {
    Setting: Shape(tables.settings, ("value",), lambda item: (item.name, item.value)),
    Vault: Shape(
        tables.vaults, ("sealed", "certificate"), lambda item: (item.name, item.sealed, item.certificate)
    ),
    Authority: Shape(tables.authorities, _all_but_key(tables.authorities), _authority),
    Certificate: Shape(tables.certificates, _all_but_key(tables.certificates), _certificate),
    BlockedKey: Shape(
        tables.blocked_keys, ("create_time_us",), lambda item: (item.spki_sha256, item.create_time_us)
    ),
    Group: Shape(tables.groups, _all_but_key(tables.groups), _group),
    Key: Shape(
        tables.keys,
        ("group", "state", "version", "assign_time_us", "drive_serial", "volser", "mount_id"),
        _key,
        "version",
    ),
    Drive: Shape(tables.drives, _all_but_key(tables.drives), _drive),
    Cartridge: Shape(tables.cartridges, None, _cartridge),
}

# All else stays for ever; a destroyed key too leaves its row.
REMOVABLE = (Drive, Group, Authority, BlockedKey)


def key_of(row: Fields) -> Key:
    """Return the key that a row holds; KeyError for a state that does not exist."""
    return Key(*(*row[:9], _KEY_STATES[row[9]], *row[10:]))


def drive_of(row: Fields) -> Drive:
    """Return the drive that a row holds; ValueError for numbers or JSON that cannot be."""
    return Drive(
        *(
            row[0],
            DriveState(row[1]),
            *row[2:9],
            tuple(json.loads(row[9])),
            *row[10:12],
            bool(row[12]),
            LabelMode(row[13]),
            row[14],
        )
    )


def certificate_of(row: Fields) -> Certificate:
    """Return the certificate that a row holds; ValueError for a role that does not exist."""
    return Certificate(*(row[0], Role(row[1]), *row[2:7], tuple(json.loads(row[7]))))


def group_of(row: Fields) -> Group:
    """Return the group that a row holds; ValueError for a policy that does not exist."""
    return Group(row[0], OnExhaustion(row[1]), bool(row[2]), row[3])


def link_of(row: Fields) -> Link:
    """Return the link that a row of the audit table holds; ValueError for an outcome that does not exist."""
    return Link(row[0], AuditRecord(row[1], row[2], Outcome(row[3]), *row[4:12]), row[12], row[13])
