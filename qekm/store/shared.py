"""What the servers of an estate have in common: the tables whose rows are the same, bit for bit, on each.

Everything else is a server's own: slots, settings, backups, approvals, cursors, its trail and that one's key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table

from qekm.model import (
    Account,
    Authority,
    BlockedKey,
    Cartridge,
    Certificate,
    Change,
    Checkpoint,
    Drive,
    Group,
    Key,
    Partner,
    Peer,
    SharedProperty,
    Vault,
)
from qekm.store import nouns, tables
from qekm.store.rows import SHAPES, Row

LOCAL_VAULT = "audit"  # the key of a server's own trail (qekm/estate.py)
PrimaryKey = str | bytes | int


@dataclass(frozen=True, slots=True)
class Shared:
    """A shared table: its noun, and its columns without the MAC, the primary key first."""

    table: Table
    noun: type[Any]
    of_row: Callable[[Row], Any]  # KeyError, ValueError, TypeError for values that cannot be
    to_row: Callable[[Any], Row]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the values of a row."""
        return tuple(column.name for column in self.table.columns if column.name != "mac")


def _plain(noun: type[Any]) -> Callable[[Row], Any]:
    return lambda row: noun(*row)


_WAYS_BACK: Mapping[type[Any], Callable[[Row], Any]] = {
    Vault: _plain(Vault),
    Authority: _plain(Authority),
    Certificate: nouns.certificate_of,
    BlockedKey: _plain(BlockedKey),
    Group: nouns.group_of,
    Key: nouns.key_of,
    Drive: nouns.drive_of,
    Cartridge: nouns.cartridge_of,
    Partner: _plain(Partner),
    Account: nouns.account_of,
    Peer: nouns.peer_of,
    Checkpoint: _plain(Checkpoint),
    SharedProperty: _plain(SharedProperty),
}


def _whole(noun: type[Any]) -> Callable[[Any], Row]:
    """Return what makes a row with its primary key in front; the uses of keys keep theirs apart."""
    if noun is Cartridge:
        return lambda use: (use.id, *SHAPES[Cartridge].to_row(use))
    return SHAPES[noun].to_row


# In the order in which rows are written: parents before children.
SHARED: Mapping[str, Shared] = {
    SHAPES[noun].table.name: Shared(SHAPES[noun].table, noun, of_row, _whole(noun))
    for noun, of_row in sorted(_WAYS_BACK.items(), key=lambda item: list(SHAPES).index(item[0]))
}
TABLES: Mapping[type[Any], str] = {shared.noun: name for name, shared in SHARED.items()}
_SHARED_NAMES = frozenset(SHARED)


def is_shared(table: str, key: object) -> bool:
    """Tell whether all servers have this row."""
    return table in _SHARED_NAMES and not (key == LOCAL_VAULT and table == tables.vaults.name)


def place_of(table: str, key: PrimaryKey) -> bytes:
    """Return the name of a row in the journal; rows of one table are in the order of their keys."""
    if isinstance(key, int):
        return table.encode() + b"\0i" + key.to_bytes(8)
    return table.encode() + (b"\0b" + key if isinstance(key, bytes) else b"\0t" + key.encode())


def row_at(place: bytes) -> tuple[str, PrimaryKey]:
    """Return table and primary key of a place; ValueError."""
    table, _, rest = place.partition(b"\0")
    kind, key = rest[:1], rest[1:]
    if kind == b"i":
        return table.decode(), int.from_bytes(key)
    if kind not in (b"b", b"t"):
        raise ValueError("no place in a journal")
    return table.decode(), key if kind == b"b" else key.decode()


def key_of(change: Change) -> PrimaryKey:
    """Return the primary key of a shared noun; 0 for a use that was not counted yet."""
    if isinstance(change, Cartridge):
        return change.id
    row: PrimaryKey = SHARED[TABLES[type(change)]].to_row(change)[0]
    return row
