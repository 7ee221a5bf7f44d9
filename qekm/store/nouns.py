"""The noun that a row of a table holds: the way back of rows.py. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from qekm.model import (
    Account,
    Approval,
    ApprovalState,
    AuditRecord,
    Backup,
    BackupState,
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
    Peer,
    PeerState,
    Role,
)
from qekm.store.chain import Link

Fields = Sequence[Any]

_KEY_STATES = {int(state): state for state in KeyState}  # a look-up costs a quarter of calling the class


def key_of(row: Fields) -> Key:
    """Return the key that a row holds; KeyError for a state that does not exist."""
    return Key(*(*row[:9], _KEY_STATES[row[9]], *row[10:18]))


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


def approval_of(row: Fields) -> Approval:
    """Return the approval that a row holds; ValueError for a state that does not exist."""
    return Approval(*(*row[:7], ApprovalState(row[7]), *row[8:10]))


def backup_of(row: Fields) -> Backup:
    """Return the backup that a row holds; ValueError for a state that does not exist."""
    return Backup(*(*row[:9], bool(row[9]), BackupState(row[10]), *row[11:14]))


def group_of(row: Fields) -> Group:
    """Return the group that a row holds; ValueError for a policy that does not exist."""
    return Group(row[0], OnExhaustion(row[1]), bool(row[2]), row[3])


def link_of(row: Fields) -> Link:
    """Return the link that a row of the audit table holds; ValueError for an outcome that does not exist."""
    return Link(row[0], AuditRecord(row[1], row[2], Outcome(row[3]), *row[4:12]), row[12], row[13])


def cartridge_of(row: Fields) -> Cartridge:
    """Return the use of a key that a row holds."""
    return Cartridge(*(*row[1:6], row[0]))


def peer_of(row: Fields) -> Peer:
    """Return the server that a row holds; ValueError for a state that does not exist."""
    return Peer(*(*row[:4], PeerState(row[4]), *row[5:8]))


def account_of(row: Fields) -> Account:
    """Return the account that a row holds; KeyError for a role that does not exist."""
    account = Account(*row[:6])
    _ = account.role
    return account
