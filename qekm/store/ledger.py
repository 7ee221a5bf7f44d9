"""What the store is, row by row, as its writer must know it to keep the store root. Memory only.

A transaction is drafted first and taken over once it is committed: a unit that was refused leaves no trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from qekm.model import Cartridge, Entry
from qekm.sealing.seals import MAC_LENGTH, Seals, Value
from qekm.store import tables
from qekm.store.chain import Head
from qekm.store.shared import PrimaryKey, is_shared, place_of
from qekm.store.uses import next_number, node_of

MODULUS = 1 << 256
_VERSION = 8  # bytes behind a MAC, of rows that have versions
_USES, _JOURNAL = tables.cartridges.name, tables.journal.name
_JOURNAL_OF_USES = place_of(_USES, 0)[:-8]
_NONE: Mapping[str, Sum] = MappingProxyType({})

Key = Value  # a row's primary key
Place = tuple[str, Key]  # table and primary key


@dataclass(frozen=True, slots=True)
class Sum:
    """What the shared rows of one table make together: how many, and the sum of their elements."""

    rows: int = 0
    sum: int = 0

    def changed(self, rows: int, sum_: int) -> Sum:
        """Return it with so many rows and so much more."""
        return Sum(self.rows + rows, (self.sum + sum_) % MODULUS)


@dataclass(frozen=True, slots=True)
class Root:
    """What the whole store is after one commit; sums are of the elements of rows, never written."""

    epoch: int = 1
    sequence: int = 0
    rows: int = 0
    sum: int = 0
    head: Head = field(default_factory=Head)
    anchored: bool = False
    journal: int = 0  # sequence of the last entry
    shared: Mapping[str, Sum] = field(default_factory=lambda: _NONE)  # by table

    def mac(self, seals: Seals, estate_id: bytes) -> bytes:
        """Return the store root: 32 bytes that only the holder of the root key can make."""
        audit = self.head.sequence, self.head.hash
        numbers = self.epoch, self.sequence, self.rows, int(self.anchored)
        return seals.root(estate_id, *numbers, self.sum.to_bytes(32), *audit)


class Ledger:
    """The MAC of every row that may change, by table and primary key, and the root that all make together.

    instance: of the server, 8 bytes; empty before it has one. uses: the last number of each node.
    filling: whether the journal is being filled; waiting: by number, entries of uses that come when it is.
    """

    __slots__ = ("estate_id", "filling", "instance", "root", "rows", "seals", "uses", "waiting")

    def __init__(self, seals: Seals, estate_id: bytes, root: Root | None = None) -> None:
        self.seals, self.estate_id = seals, estate_id
        self.root = root or Root()
        self.instance = b""
        self.rows: dict[str, dict[Key, bytes]] = {}
        self.uses: dict[int, int] = {}
        self.filling = False
        self.waiting: dict[int, Entry] = {}

    def enter(self, table: str, key: Key, mac: bytes, version: int = 0) -> None:
        """Take a row that was read from the disk and verified."""
        if table == _USES:
            assert isinstance(key, int)
            self.count(key)
        elif not _is_of_use(table, key):
            self.rows.setdefault(table, {})[key] = mac + version.to_bytes(_VERSION) if version else mac

    def count(self, number: int) -> None:
        """Take the number of a use that is in the store."""
        node = node_of(number)
        self.uses[node] = max(self.uses.get(node, 0), number)

    def find(self, table: str, key: Key) -> bytes | None:
        """Return MAC and version of a row."""
        return self.rows.get(table, {}).get(key)

    def take(self, draft: Draft) -> None:
        """Take over what was committed."""
        for (table, key), entry in draft.changed.items():
            if entry is None:
                self.rows.get(table, {}).pop(key, None)
            else:
                self.rows.setdefault(table, {})[key] = entry
        self.root, self.instance = draft.root, draft.instance
        self.filling, self.waiting = draft.filling, draft.waiting
        self.uses.update(draft.uses)


class Draft:
    """One transaction's rows over a ledger that it does not touch."""

    __slots__ = (
        *("_known_use", "_last_use", "_ledger", "_rows", "_seals", "_shared", "_sum"),
        *("changed", "filling", "instance", "journal", "root", "uses", "waiting"),
    )

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._seals = ledger, ledger.seals
        self.changed: dict[Place, bytes | None] = {}
        self.root, self.instance = ledger.root, ledger.instance
        self.filling, self.waiting = ledger.filling, dict(ledger.waiting)
        self._rows, self._sum, self.journal = self.root.rows, self.root.sum, self.root.journal
        self._shared: dict[str, Sum] = {}
        self._last_use = 0  # number of the use that was counted last
        self._known_use = 0  # of the one that was there already
        self.uses: dict[int, int] = {}

    def write(self, table: str, row: tuple[Value, ...], version: int = 0) -> bytes | None:
        """Return the MAC of a row that is written; None for a late write of an older version."""
        key = row[0]
        old = self._find((table, key))
        if version and old is not None and int.from_bytes(old[-_VERSION:]) > version:
            return None
        mac = self._seals.row(table, row)
        self._replace(table, key, old, mac)
        if not _is_of_use(table, key):
            self.changed[table, key] = mac + version.to_bytes(_VERSION) if version else mac
        return mac

    def count(self, use: Cartridge, values: tuple[Value, ...]) -> tuple[Value, ...] | None:
        """Return the row of a use, number in front and MAC behind; None if it is there already."""
        ledger, number = self._ledger, use.id
        if not number:
            number = next_number({**ledger.uses, **self.uses}, self.instance, use.write_time_us)
        node = node_of(number)
        if number <= max(ledger.uses.get(node, 0), self.uses.get(node, 0)):
            self._known_use = number
            return None
        self.uses[node] = self._last_use = number
        row = (number, *values)
        mac = self._seals.row(_USES, row)
        self._replace(_USES, number, None, mac)
        return (*row, mac)

    def note(self, entry: Entry) -> tuple[Value, ...] | None:
        """Return the journal's row of an entry; None for the entry of a use that was there already.

        None, too, of a use that is counted while older ones are still to be noted: the journal has those of
        one server in the order of their numbers, by which a peer knows what is new to it.
        """
        key = entry.key
        if entry.table == _USES:
            key = key or self._last_use
            if key == self._known_use:
                return None
            assert isinstance(key, int)
            if not entry.key and (self.filling or self._ledger.filling):
                self.waiting[key] = entry
                return None
            self.waiting.pop(key, None)
        return self._line(entry, key)

    def overdue(self) -> list[tuple[Value, ...]]:
        """Return the journal's rows of the uses that waited, once it has all that were there before."""
        if self.filling:
            return []
        waiting, self.waiting = self.waiting, {}
        return [self._line(entry, number) for number, entry in waiting.items()]

    def _line(self, entry: Entry, key: PrimaryKey) -> tuple[Value, ...]:
        self.journal += 1
        row: tuple[Value, ...] = (
            place_of(entry.table, key),
            self.journal,
            entry.stamp_us,
            entry.origin,
            int(entry.removed),
        )
        return (*row, self.write(_JOURNAL, row))

    def remove(self, table: str, key: Key) -> None:
        """Take a row out, if it is there."""
        old = self._find((table, key))
        if old is not None:
            self._replace(table, key, old, None)
            self.changed[table, key] = None

    def close(self, head: Head, anchored: bool) -> bytes:
        """Set the root as it is after this transaction and the new head of the trail; return its MAC."""
        root = self.root
        self.root = replace(
            root,
            sequence=root.sequence + 1,
            rows=self._rows,
            sum=self._sum % MODULUS,
            head=head,
            anchored=anchored or root.anchored,
            journal=self.journal,
            shared={**root.shared, **self._shared} if self._shared else root.shared,
        )
        return self.root.mac(self._seals, self._ledger.estate_id)

    def _find(self, place: Place) -> bytes | None:
        return self.changed[place] if place in self.changed else self._ledger.find(*place)

    def _replace(self, table: str, key: Key, old: bytes | None, mac: bytes | None) -> None:
        rows, sum_ = 0, 0
        if old is not None:
            sum_ -= self._seals.element(old[:MAC_LENGTH])
            rows -= 1
        if mac is not None:
            sum_ += self._seals.element(mac)
            rows += 1
        self._rows += rows
        self._sum += sum_
        if is_shared(table, key):
            former = self._shared.get(table) or self.root.shared.get(table) or Sum()
            self._shared[table] = former.changed(rows, sum_)


def _is_of_use(table: str, key: Key) -> bool:
    """Tell whether a row is of the journal and about a use: never changed, and there are millions."""
    return table == _JOURNAL and isinstance(key, bytes) and key.startswith(_JOURNAL_OF_USES)
