"""Everything that lives in memory while the service runs, read in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, Table, select

from qekm.errors import StoreDamaged
from qekm.model import (
    Account,
    Approval,
    Authority,
    Backup,
    BlockedKey,
    Certificate,
    Checkpoint,
    Cursor,
    Drive,
    Group,
    Key,
    Partner,
    Peer,
    SharedProperty,
    Slot,
    Vault,
)
from qekm.store import tables
from qekm.store.nouns import (
    Fields,
    account_of,
    approval_of,
    backup_of,
    certificate_of,
    drive_of,
    group_of,
    key_of,
    peer_of,
)

Noun = TypeVar("Noun")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The estate's nouns as they were at one commit; keys in the order of their creation."""

    keys: list[Key]
    groups: list[Group]
    drives: list[Drive]
    authorities: list[Authority]
    blocked: list[BlockedKey]
    certificates: list[Certificate]
    vaults: dict[str, Vault]
    settings: dict[str, str]
    slots: list[Slot]
    approvals: list[Approval]
    backups: list[Backup]
    partners: list[Partner]
    accounts: list[Account]
    peers: list[Peer]
    cursors: list[Cursor]
    checkpoints: list[Checkpoint]
    shared_properties: list[SharedProperty]


def load(connection: Connection) -> Snapshot:
    """Read all nouns but cartridges and audit records; StoreDamaged names a table with an impossible row."""

    def read(table: Table, noun: Callable[[Fields], Noun], order: str | None = None) -> list[Noun]:
        query = select(table) if order is None else select(table).order_by(table.c[order])
        try:
            return [noun(row) for row in connection.execute(query)]
        except (KeyError, ValueError, TypeError) as error:
            raise StoreDamaged(f"table {table.name} holds a row that cannot be", table=table.name) from error

    return Snapshot(
        keys=read(tables.keys, key_of, "created_seq"),
        groups=read(tables.groups, group_of),
        drives=read(tables.drives, drive_of),
        authorities=read(tables.authorities, lambda row: Authority(*row[:5])),
        blocked=read(tables.blocked_keys, lambda row: BlockedKey(*row[:2])),
        certificates=read(tables.certificates, certificate_of),
        vaults={vault.name: vault for vault in read(tables.vaults, lambda row: Vault(*row[:3]))},
        settings=dict(read(tables.settings, lambda row: (row[0], row[1]))),
        slots=read(tables.slots, lambda row: Slot(*row[:4])),
        approvals=read(tables.approvals, approval_of),
        backups=read(tables.backups, backup_of, "sequence"),
        partners=read(tables.partners, lambda row: Partner(*row[:6])),
        accounts=read(tables.accounts, account_of),
        peers=read(tables.peers, peer_of),
        cursors=read(tables.cursors, lambda row: Cursor(*row[:4])),
        checkpoints=read(tables.checkpoints, lambda row: Checkpoint(*row[:9])),
        shared_properties=read(tables.shared_properties, lambda row: SharedProperty(*row[:2])),
    )
