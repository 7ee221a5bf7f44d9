"""Is the store what its writer wrote? Every row against its MAC, and all of them against the store root.

Works on the columns that the database itself tells, so that an older revision is checked as it was written.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, inspect, select, text, update

from qekm.errors import StoreDamaged
from qekm.model import Key
from qekm.sealing.seals import Seals
from qekm.store import tables
from qekm.store.chain import Head
from qekm.store.ledger import MODULUS, Ledger, Root, Sum
from qekm.store.nouns import key_of
from qekm.store.plan import FILLING, INSTANCE, JOURNAL
from qekm.store.shared import is_shared

Tell = Callable[[int], None]  # of so many rows more that were checked

_EMPTY = Sum()
_CHUNK = 1_000
_MOST_NAMED = 5  # damaged rows in a message
_HINT = "restore the latest backup (qekm backup restore), and keep this store for whoever looks into it"


@dataclass(frozen=True, slots=True)
class Found:
    """What a pass over the whole store found: its ledger, and the rows that are not as they were written."""

    ledger: Ledger
    damaged: tuple[str, ...]  # table and primary key
    root_holds: bool

    def require(self) -> Ledger:
        """Return the ledger; StoreDamaged names what does not hold."""
        if self.damaged:
            named = ", ".join(self.damaged[:_MOST_NAMED])
            more = len(self.damaged) - _MOST_NAMED
            rest = f" and {more:,} more" if more > 0 else ""
            raise StoreDamaged(f"rows of the store do not verify: {named}{rest}", hint=_HINT)
        if not self.root_holds:
            what = "the store root does not hold: rows are missing, or are those of another time"
            raise StoreDamaged(what, hint=_HINT)
        return self.ledger


def mute(_rows: int) -> None:
    """Tell nobody."""


def examine(connection: Connection, seals: Seals, estate_id: bytes, tell: Tell = mute) -> Found:
    """Check every row and the root in the connection's transaction; no key's material is opened here."""
    root = _root_row(connection)
    ledger = Ledger(seals, estate_id)
    damaged: list[str] = []
    rows, sum_, journal = 0, 0, 0
    shared: dict[str, Sum] = {}
    for table, key, values, mac, version in _rows(connection, tell):
        if not _holds(mac, seals.row, table, values):
            damaged.append(f"{table} {key.hex() if isinstance(key, bytes) else key}")
            continue
        element = seals.element(mac)
        rows, sum_ = rows + 1, sum_ + element
        if is_shared(table, key):
            shared[table] = shared.get(table, _EMPTY).changed(1, element)
        ledger.enter(table, key, mac, version)
        if table == tables.journal.name:
            journal = max(journal, values[1])
        elif table == tables.settings.name and key == INSTANCE:
            ledger.instance = bytes.fromhex(values[1])
        elif table == tables.settings.name and key == JOURNAL:
            ledger.filling = values[1] == FILLING
    found = Root(0, 0, rows, sum_ % MODULUS, _head(connection), False, journal, shared)
    if root is None:
        return Found(ledger, tuple(damaged), False)
    ledger.root = replace(found, epoch=root.epoch, sequence=root.sequence, anchored=bool(root.anchored))
    holds = _holds(root.mac, ledger.root.mac, seals, estate_id)
    return Found(ledger, tuple(damaged), holds and rows + len(damaged) == root.row_count)


def _holds(mac: bytes, compute: Callable[..., bytes], *values: Any) -> bool:
    """Compare a MAC; values of a kind that is never written, as damage makes them, have none."""
    try:
        return compute(*values) == mac
    except (struct.error, UnicodeError):
        return False


def authenticate(connection: Connection, seals: Seals, estate_id: bytes) -> None:
    """Give every row its MAC and the store its root, after a migration changed what rows are."""
    former = _root_row(connection)
    sum_, rows = 0, 0
    for table, key, values, _, _ in list(_rows(connection, mute)):
        mac = seals.row(table, values)
        column = tables.metadata.tables[table]
        place = column.primary_key.columns[0] == key
        connection.execute(update(column).where(place).values(mac=mac))
        sum_, rows = sum_ + seals.element(mac), rows + 1
    epoch, sequence, anchored = (*former[1:3], bool(former.anchored)) if former else (1, 0, False)
    root = Root(epoch, sequence + 1, rows, sum_ % MODULUS, _head(connection), anchored)
    connection.execute(delete(tables.roots))
    connection.execute(
        tables.roots.insert(),
        {
            "place": 1,
            "epoch": root.epoch,
            "sequence": root.sequence,
            "row_count": root.rows,
            "anchored": int(root.anchored),
            "mac": root.mac(seals, estate_id),
        },
    )


def check_keys(connection: Connection, check: Callable[[Key], None], tell: Tell = mute) -> int:
    """Have every key that is not destroyed opened by `check`; return how many. StoreDamaged."""
    count = 0
    for row in connection.execute(select(tables.keys)):
        key = key_of(row)
        if key.sealed:
            check(key)
        count += 1
        if count % _CHUNK == 0:
            tell(_CHUNK)
    tell(count % _CHUNK)
    return count


def is_authenticated(connection: Connection) -> bool:
    """Tell whether the store is of a revision whose rows have MACs."""
    return inspect(connection).has_table(tables.roots.name)


def _rows(connection: Connection, tell: Tell) -> Iterator[tuple[str, Any, tuple[Any, ...], bytes, int]]:
    """Yield table, primary key, values, MAC and version (0: none) of every row that has a MAC."""
    count = 0
    for name in sorted(inspect(connection).get_table_names()):
        columns = [column["name"] for column in inspect(connection).get_columns(name)]
        if "mac" not in columns or name == tables.roots.name:
            continue
        at = columns.index("mac")
        version_at = columns.index("version") if "version" in columns else -1
        for row in connection.execute(text(f'SELECT * FROM "{name}"')):  # noqa: S608  a name of the database's
            values = tuple(row)
            version = values[version_at] if version_at >= 0 else 0
            yield name, values[0], values[:at] + values[at + 1 :], values[at], version
            count += 1
            if count % _CHUNK == 0:
                tell(_CHUNK)
    tell(count % _CHUNK)


def _root_row(connection: Connection) -> Any:
    return connection.execute(select(tables.roots)).first()


def _head(connection: Connection) -> Head:
    columns = tables.audit.c
    query = select(columns.sequence, columns.hash).order_by(columns.sequence.desc()).limit(1)
    row = connection.execute(query).first()
    return Head(*row) if row else Head()
