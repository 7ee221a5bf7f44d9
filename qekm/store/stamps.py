"""When shared rows were changed, as the event loop knows it; every change that is submitted gets its entry.

A stamp is a hybrid logical clock's: the wall clock, but always later than every stamp that was seen. So a
later change wins over what its author knew, whatever anybody's clock says. Memory only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from qekm.model import Cartridge, Change, Drive, Entry, Key, Removal
from qekm.store.rows import SHAPES
from qekm.store.shared import TABLES, PrimaryKey, is_shared, key_of

_DRIVES = TABLES[Drive]
# Joined or only ever added: it does not matter which change of theirs came last.
_UNORDERED = frozenset({TABLES[Key], TABLES[Cartridge]})


class Stamps:
    """The last change of each shared row but keys and their uses, and this server's clock."""

    def __init__(self, origin: bytes, now_us: Callable[[], int], entries: Iterable[Entry] = ()) -> None:
        """Take this server's instance and the journal's entries."""
        self.origin, self._now_us = origin, now_us
        self._last_us = 0
        self._known: dict[tuple[str, PrimaryKey], tuple[int, bytes]] = {}
        self._drives: dict[str, Drive] = {}  # as they are here, but for when they were seen
        for entry in entries:
            self.see(entry)

    def next(self) -> int:
        """Return a stamp for a change that is made now."""
        self._last_us = max(self._last_us + 1, self._now_us())
        return self._last_us

    def see(self, entry: Entry) -> None:
        """Take a change of anybody's, which now holds."""
        self._last_us = max(self._last_us, entry.stamp_us)
        if entry.table not in _UNORDERED:
            self._known[entry.table, entry.key] = entry.stamp_us, entry.origin

    def last(self, table: str, key: PrimaryKey) -> tuple[int, bytes]:
        """Return stamp and origin of the change that holds; 0 for a row that nobody changed."""
        return self._known.get((table, key), (0, b""))

    def know(self, drive: Drive) -> bool:
        """Take a drive's entry as it is here now; tell whether it was so, but for when the drive was seen."""
        told = replace(drive, last_seen_time_us=0)
        same = self._drives.get(drive.serial) == told
        self._drives[drive.serial] = told
        return same

    def wins(self, table: str, key: PrimaryKey, stamp_us: int, origin: bytes) -> bool:
        """Tell whether a change is later than the one that holds."""
        known = self._known.get((table, key))
        return known is None or (stamp_us, origin) > known

    def author(self, table: str, key: PrimaryKey) -> bytes:
        """Return the instance of the server whose change of a row holds; empty if there is none."""
        return self._known.get((table, key), (0, b""))[1]

    def entry(self, table: str, key: PrimaryKey, *, removed: bool = False) -> Entry:
        """Return the entry of a change that this server makes now."""
        entry = Entry(table, key, self.next(), self.origin, removed)
        self.see(entry)
        return entry

    def stamped(self, unit: Sequence[Change]) -> Sequence[Change]:
        """Return a unit with an entry behind each change of a shared row."""
        made: list[Change] = []
        for change in unit:
            made.append(change)
            if (entry := self._entry_of(change)) is not None:
                made.append(entry)
        return made

    def _entry_of(self, change: Change) -> Entry | None:
        if isinstance(change, Removal):
            table = SHAPES[change.kind].table.name
            return self.entry(table, change.name, removed=True) if is_shared(table, change.name) else None
        if isinstance(change, Drive):
            return self._entry_of_drive(change)
        name = TABLES.get(type(change))
        if name is None or not is_shared(name, key := key_of(change)):
            return None
        return self.entry(name, key)

    def _entry_of_drive(self, drive: Drive) -> Entry:
        """Return a drive's entry; one that was only seen again is hardly later than what was known of it.

        So a server that serves a drive does not take back what a person changes at another meanwhile.
        """
        if not self.know(drive):
            return self.entry(_DRIVES, drive.serial)
        entry = Entry(_DRIVES, drive.serial, self.last(_DRIVES, drive.serial)[0] + 1, self.origin)
        self.see(entry)
        return entry
