"""Take a whole table of drives into the registry, all or nothing.

It is taken into a copy first: what fails there has changed nothing, and what does not fail there cannot fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from qekm.allocator import Allocator
from qekm.claim import normalise_serial
from qekm.drives import Registry
from qekm.errors import BadArgument, QekmError
from qekm.model import Change, Drive, DriveState

Said = tuple[str, dict[str, Any]]
"""A drive's serial, and the fields of qekm.model.Drive that the table says something of."""

_ALL = 1_000_000  # drives
_UNIQUE: dict[str, Any] = {"wwnn": b"", "alias": ""}  # no two drives have the same, but for none


@dataclass(frozen=True, slots=True)
class Enlisted:
    """What is to be committed, and of how many entries."""

    changes: tuple[Change, ...] = ()
    created: int = 0
    updated: int = 0
    deleted: int = 0


def enlist(registry: Registry, allocator: Allocator, entries: Sequence[Said], rewrite: bool) -> Enlisted:
    """Enter new drives, change what is said of known ones; rewrite: and remove all others but pending ones.

    BadArgument (also for a serial that is there twice), DriveExists, UnknownGroup, UnknownKey, KeyInUse; the
    message names the drive.
    """
    table = _by_serial(entries)
    copy = Registry(registry.page("", _ALL), (), (), lambda: 0)
    _take(copy, allocator, table, rewrite)
    created, updated, gone = _take(registry, allocator, table, rewrite)
    bound = [change for drive in (*created, *updated) for change in allocator.bind(drive)]
    return Enlisted((*gone, *created, *updated, *bound), len(created), len(updated), len(gone))


def check_names(
    registry: Registry, allocator: Allocator, serial: str, groups: Iterable[str], alias: str
) -> str:
    """Return the alias that an entry may name, in its stored spelling; UnknownGroup, UnknownKey, KeyInUse."""
    for group in groups:
        if group:
            allocator.find(group)
    if not alias:
        return ""
    key = allocator.check_own(alias, serial)
    registry.check_alias(key.alias, serial)
    return key.alias


def _by_serial(entries: Sequence[Said]) -> dict[str, dict[str, Any]]:
    table: dict[str, dict[str, Any]] = {}
    for given, said in entries:
        serial = normalise_serial(given)
        if serial in table:
            raise BadArgument(f"drive {serial} is in the table twice", field="drives")
        table[serial] = said
    return table


def _take(
    registry: Registry, allocator: Allocator, table: dict[str, dict[str, Any]], rewrite: bool
) -> tuple[list[Drive], list[Drive], list[Change]]:
    """Return the drives created, those updated, and the removals."""
    known = {serial: drive for serial in table if (drive := registry.find(serial)) is not None}
    others = [drive.serial for drive in registry.entries() if drive.serial not in table] if rewrite else []
    gone = [change for serial in others for change in registry.delete(serial)]
    for serial in known:  # what one gives up another may have
        registry.update(serial, **{name: empty for name, empty in _UNIQUE.items() if name in table[serial]})
    created, updated = list[Drive](), list[Drive]()
    for serial, said in table.items():
        drive = _entered(registry, allocator, serial, said, serial in known)
        if serial not in known:
            created.append(drive)
        elif drive != known[serial]:
            updated.append(drive)
    return created, updated, gone


def _entered(
    registry: Registry, allocator: Allocator, serial: str, said: dict[str, Any], known: bool
) -> Drive:
    try:
        groups = (said.get("group", ""), *said.get("allowed_groups", ()))
        alias = check_names(registry, allocator, serial, groups, said.get("alias", ""))
        said = said | ({"alias": alias} if alias else {})
        if known:
            registry.update(serial, **said)
        else:
            registry.create(Drive(serial, DriveState.ACCEPTED, 0, **said))
    except QekmError as error:
        told = f"drive {serial[:20]}: {error.message}"
        raise type(error)(told, hint=error.advice, **error.details) from None
    return registry.get(serial)
