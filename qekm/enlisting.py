"""Take a whole table of drives into the registry, all or nothing.

Each entry is looked at by itself, and drives may be served between two of them. The table is entered in one
go, once nothing in it can fail: what fails before has changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from qekm.allocator import Allocator
from qekm.claim import normalise_serial
from qekm.drives import Registry
from qekm.entries import UNIQUE, taken
from qekm.errors import BadArgument, QekmError
from qekm.model import Change, Drive

Said = tuple[str, dict[str, Any]]
"""A drive's serial, and the fields of qekm.model.Drive that the table says something of."""


@dataclass(frozen=True, slots=True)
class Enlisted:
    """What is to be committed, and of how many entries."""

    changes: tuple[Change, ...] = ()
    created: int = 0
    updated: int = 0
    deleted: int = 0


class _Line(NamedTuple):
    """What the table says of a drive, and its entry, as it was and as it will be: one object if it stays."""

    said: dict[str, Any]
    old: Drive | None
    new: Drive


class Enlisting:
    """One table on its way: `add` its entries, then `enter` them."""

    def __init__(self, registry: Registry, allocator: Allocator, rewrite: bool) -> None:
        """Take the owners; rewrite: drives that are not in the table are removed, but for pending ones."""
        self._registry, self._allocator, self._rewrite = registry, allocator, rewrite
        self._lines: dict[str, _Line] = {}
        self._claims: dict[tuple[str, Any], str] = {}  # field and value that only one drive may have: whose

    def add(self, given: str, said: dict[str, Any]) -> None:
        """Look at an entry: a new drive, or what changes of a known one. Nothing is entered yet.

        BadArgument (also for a serial that is there twice), UnknownGroup, UnknownKey, and for what another
        entry has already DriveExists, KeyInUse; the message names the drive.
        """
        serial = normalise_serial(given)
        if serial in self._lines:
            raise BadArgument(f"drive {serial} is in the table twice", field="drives")
        try:
            line = self._lines[serial] = self._look(serial, said)
            for name, value in _claims(line.said):
                other = self._claims.setdefault((name, value), serial)
                if other != serial:
                    raise taken(name, value, other)
        except QekmError as error:
            raise _told_of(serial, error) from None

    def enter(self) -> Enlisted:
        """Enter new drives, change what is said of known ones, remove others; errors as `add`, and ReadOnly.

        What others changed since an entry was added is looked at again. Drives wait for this: 3 to 10 µs an
        entry, 20 for one that names a key.
        """
        for serial, line in self._lines.items():
            try:
                self._look_again(serial, line)
            except QekmError as error:
                raise _told_of(serial, error) from None
        changed = [line for line in self._lines.values() if line.new is not line.old]
        bound = [change for line in changed for change in self._allocator.bind(line.new)]
        gone = [change for serial in self._others() for change in self._registry.delete(serial)]
        self._registry.put_all(line.new for line in changed)
        created = [line.new for line in changed if line.old is None]
        updated = [line.new for line in changed if line.old is not None]
        return Enlisted((*gone, *created, *updated, *bound), len(created), len(updated), len(gone))

    def _look(self, serial: str, said: dict[str, Any]) -> _Line:
        if alias := self._check_names(serial, said):
            said = said | {"alias": alias}
        old, new = self._registry.find(serial), self._registry.draft(serial, said)
        return _Line(said, old, old if old is not None and old == new else new)

    def _look_again(self, serial: str, line: _Line) -> None:
        if self._registry.find(serial) is line.old:
            self._check_names(serial, line.said)
        else:
            self._lines[serial] = self._look(serial, line.said)
        for name, value in _claims(line.said):
            other = self._registry.holder(name, value)
            if other not in ("", serial) and self._keeps(other, name):
                raise taken(name, value, other)

    def _check_names(self, serial: str, said: dict[str, Any]) -> str:
        """Check the groups that an entry names; return the alias that it may name."""
        for group in (said.get("group", ""), *said.get("allowed_groups", ())):
            if group:
                self._allocator.find(group)
        alias = said.get("alias")
        return self._allocator.check_own(alias, serial).alias if alias else ""

    def _keeps(self, serial: str, name: str) -> bool:
        """Tell whether a drive of the registry still has in this field what it has now."""
        line = self._lines.get(serial)
        return name not in line.said if line else not self._rewrite

    def _others(self) -> list[str]:
        if not self._rewrite:
            return []
        return [drive.serial for drive in self._registry.entries() if drive.serial not in self._lines]


def _claims(said: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, said[name]) for name in UNIQUE if said.get(name))


def _told_of(serial: str, error: QekmError) -> QekmError:
    """Return the same error with the drive in its message."""
    return type(error)(f"drive {serial[:20]}: {error.message}", hint=error.advice, **error.details)
