"""What the store is, row by row, as its writer must know it to keep the store root. Memory only.

A transaction is drafted first and taken over once it is committed: a unit that was refused leaves no trace.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from qekm.sealing.seals import MAC_LENGTH, Seals, Value
from qekm.store.chain import Head

_MODULUS = 1 << 256
_VERSION = 8  # bytes behind a MAC, of rows that have versions

Key = Value  # a row's primary key
Place = tuple[str, Key]  # table and primary key


@dataclass(frozen=True, slots=True)
class Root:
    """What the whole store is after one commit; `sum` is that of the elements of all rows, never written."""

    epoch: int = 1
    sequence: int = 0
    rows: int = 0
    sum: int = 0
    head: Head = field(default_factory=Head)
    anchored: bool = False
    uses: int = 0  # number of the last row of the table of cartridges

    def mac(self, seals: Seals, estate_id: bytes) -> bytes:
        """Return the store root: 32 bytes that only the holder of the root key can make."""
        audit = self.head.sequence, self.head.hash
        numbers = self.epoch, self.sequence, self.rows, int(self.anchored)
        return seals.root(estate_id, *numbers, self.sum.to_bytes(32), *audit)


class Ledger:
    """The MAC of every row that may change, by table and primary key, and the root that all make together."""

    __slots__ = ("estate_id", "root", "rows", "seals")

    def __init__(self, seals: Seals, estate_id: bytes, root: Root | None = None) -> None:
        self.seals, self.estate_id = seals, estate_id
        self.root = root or Root()
        self.rows: dict[str, dict[Key, bytes]] = {}

    def enter(self, table: str, key: Key, mac: bytes, version: int = 0) -> None:
        """Take a row that was read from the disk and verified."""
        self.rows.setdefault(table, {})[key] = mac + version.to_bytes(_VERSION) if version else mac

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
        self.root = draft.root


class Draft:
    """One transaction's rows over a ledger that it does not touch."""

    __slots__ = ("_ledger", "_rows", "_seals", "_sum", "_uses", "changed", "root")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._seals = ledger, ledger.seals
        self.changed: dict[Place, bytes | None] = {}
        self.root = ledger.root
        self._rows, self._sum, self._uses = self.root.rows, self.root.sum, self.root.uses

    def write(self, table: str, row: tuple[Value, ...], version: int = 0) -> bytes | None:
        """Return the MAC of a row that is written; None for a late write of an older version."""
        place = table, row[0]
        old = self._find(place)
        if version and old is not None and int.from_bytes(old[-_VERSION:]) >= version:
            return None
        mac = self._seals.row(table, row)
        self._replace(old, mac)
        self.changed[place] = mac + version.to_bytes(_VERSION) if version else mac
        return mac

    def append(self, table: str, values: tuple[Value, ...]) -> tuple[Value, ...]:
        """Return a row that is only ever inserted, with its number in front and its MAC behind."""
        self._uses += 1
        row = (self._uses, *values)
        mac = self._seals.row(table, row)
        self._replace(None, mac)
        return (*row, mac)

    def remove(self, table: str, key: Key) -> None:
        """Take a row out, if it is there."""
        place = table, key
        old = self._find(place)
        if old is not None:
            self._replace(old, None)
            self.changed[place] = None

    def close(self, head: Head, anchored: bool) -> bytes:
        """Set the root as it is after this transaction and the new head of the trail; return its MAC."""
        root = self.root
        self.root = Root(
            root.epoch,
            root.sequence + 1,
            self._rows,
            self._sum % _MODULUS,
            head,
            anchored or root.anchored,
            self._uses,
        )
        return self.root.mac(self._seals, self._ledger.estate_id)

    def _find(self, place: Place) -> bytes | None:
        return self.changed[place] if place in self.changed else self._ledger.find(*place)

    def _replace(self, old: bytes | None, mac: bytes | None) -> None:
        if old is not None:
            self._sum -= self._seals.element(old[:MAC_LENGTH])
            self._rows -= 1
        if mac is not None:
            self._sum += self._seals.element(mac)
            self._rows += 1
