"""Whether a row of another server can be one at all: kinds of values, the sense they make, sealed material.

Who sends it has the estate's root key; so this is against mistakes and damage, and against programs of other
releases. What does not verify is never in memory, let alone on the disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qekm.dkp.codes import Fault
from qekm.dkp.names import alias_to_dki, is_alias
from qekm.errors import BatchRefused, QekmError
from qekm.model import Key, KeyState, Peer
from qekm.peers import LAST_EPOCH, check_address
from qekm.replication.keys import RANKS, live
from qekm.sealing import KeyRing
from qekm.store import Line
from qekm.store.shared import SHARED
from qekm.subject import check_name
from qekm.text import as_line

_LEAST, _MOST = -(1 << 63), (1 << 63) - 1
_LATEST_US = 253_402_300_799_000_000  # the end of the year 9999; beyond, no later change had a time
_MOST_CHANGED = 1 << 62  # a version from which on a key could not be changed any more
_KINDS: Mapping[str, tuple[type, ...]] = {
    name: tuple(column.type.python_type for column in shared.table.columns if column.name != "mac")
    for name, shared in SHARED.items()
}
# What a key can return to when its destruction is called off.
_FORMER = frozenset(int(state) for state in KeyState) - {KeyState.DESTROY_PENDING, KeyState.DESTROYED}


def noun_of(line: Line) -> Any:
    """Return the noun that a row holds, its values of the right kinds; BatchRefused."""
    kinds = _KINDS[line.table]
    if len(line.values) != len(kinds) or line.values[:1] != (line.key,):
        raise refused(line, "it has other values than the table has columns")
    for value, kind in zip(line.values, kinds, strict=True):
        if type(value) is not kind or (isinstance(value, int) and not _LEAST <= value <= _MOST):
            raise refused(line, "a value is of another kind than its column")
    try:
        return SHARED[line.table].of_row(line.values)
    except (KeyError, ValueError, TypeError):
        raise refused(line, "its values make no sense") from None


def check_place(line: Line) -> None:
    """Raise BatchRefused unless a line is of a shared table, its key of the right kind, its time possible."""
    if line.table not in SHARED or type(line.key) is not _KINDS[line.table][0]:
        raise refused(line, "there is no such table, or its keys are of another kind")
    if not 0 <= line.stamp_us <= _LATEST_US:
        raise refused(line, "its time is none")


def check_key(key: Key, line: Line) -> None:
    """Raise BatchRefused for a key whose parts contradict each other."""
    counts = key.created_seq, key.epoch, key.version, key.assign_time_us
    times_us = key.create_time_us, key.assign_time_us, key.destroy_time_us
    impossible = min(counts) < 0 or max(times_us) > _LATEST_US or key.version >= _MOST_CHANGED
    if len(key.key_id) != 16 or impossible:
        raise refused(line, "it is no key")
    try:
        fits = is_alias(key.alias) and alias_to_dki(key.alias) == key.dki
    except Fault:
        fits = False
    if not fits:
        raise refused(line, "its DKi does not fit its alias")
    if not _can_end(key):
        raise refused(line, "its state and its end contradict each other")
    if RANKS[live(key)] < RANKS[KeyState.ASSIGNED] and (key.assign_time_us or key.mount_id):
        raise refused(line, "it was given to a drive, and was not")


def check_peer(peer: Peer, line: Line) -> None:
    """Raise BatchRefused for a server that cannot be one: no later epoch could follow that it has."""
    try:
        check_name(peer.name)
        check_address(peer.address, "address")
    except QekmError as error:
        raise refused(line, error.message) from None
    if not 0 <= peer.epoch <= LAST_EPOCH:
        raise refused(line, "its epoch is none")


def _can_end(key: Key) -> bool:
    """Tell whether state, time of destruction and what there is of the material belong together."""
    if key.state is KeyState.DESTROY_PENDING:
        return key.former in _FORMER and key.destroy_time_us > 0 and bool(key.sealed)
    gone = key.state is KeyState.DESTROYED
    return not key.former and gone != bool(key.sealed) and (gone or not key.destroy_time_us)


def check_material(key: Key, ring: KeyRing, line: Line) -> None:
    """Raise BatchRefused unless a key opens and has the check value that it says; it is wiped at once."""
    try:
        ring.open_key(key).wipe()
    except QekmError as error:
        raise refused(line, error.message) from None


def refused(row: Line, why: str) -> BatchRefused:
    """Return what is wrong with a row, which it names."""
    key = row.key.hex() if isinstance(row.key, bytes) else as_line(str(row.key), 64)
    table = as_line(row.table, 64)
    return BatchRefused(f"row {key} of table {table}: {why}", table=table, row=key)
