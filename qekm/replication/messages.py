"""What two servers say to each other, as plain values; proto/qekm/v1/peers.proto has the words.

Standard library only.
`values` of a message are what its MAC is made of: no two messages have the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

Value = int | str | bytes | None  # what a column holds
Tables = tuple[tuple[str, tuple[str, ...]], ...]
"""Names of tables, each with the names of its columns in the order of a row's values."""


@dataclass(frozen=True, slots=True)
class RecordKey:
    """A version of the record key, sealed under the peers' key."""

    version: int
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of each direction."""

    name: str
    instance: bytes
    epoch: int
    nonce: bytes
    version: str
    schema: str
    tables: Tables
    your_instance: bytes = b""
    received: int = 0  # of the journal of `your_instance`
    record_keys: tuple[RecordKey, ...] = ()
    mac: bytes = b""

    def values(self) -> Iterator[Value]:
        """Yield everything but the MAC."""
        head: tuple[Value, ...] = self.name, self.instance, self.epoch, self.nonce, self.version, self.schema
        yield from (*head, len(self.tables))
        for table, columns in self.tables:
            yield table
            yield len(columns)
            yield from columns
        yield from (self.your_instance, self.received)
        yield from _of_keys(self.record_keys)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a shared table; of one that was removed `values` are its primary key only."""

    sequence: int  # in the sender's journal
    table: int  # place in the tables of the sender's hello
    values: tuple[Value, ...]
    stamp_us: int
    origin: bytes
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows in the order of the sender's journal: what it holds after one place, through another."""

    after: int
    through: int
    number: int  # of the sender's batches in this stream, from 1
    rows: tuple[Row, ...]
    record_keys: tuple[RecordKey, ...] = ()
    mac: bytes = b""

    def values(self) -> Iterator[Value]:
        """Yield everything but the MAC."""
        yield from (self.after, self.through, self.number, len(self.rows))
        for row in self.rows:
            yield from (row.sequence, row.table, len(row.values), *row.values)
            yield from (row.stamp_us, row.origin, int(row.removed))
        yield from _of_keys(self.record_keys)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """That rows are on the receiver's disk."""

    through: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """That the sender is alive, and how it is."""

    sequence: int = 0  # of the last entry of its journal
    time_us: int = 0
    ready_keys: int = 0
    read_only: str = ""
    oldest_record_key: int = 0


@dataclass(frozen=True, slots=True)
class TableSum:
    """What all rows of a table make together."""

    table: str
    rows: int
    sum: bytes


@dataclass(frozen=True, slots=True)
class BucketSum:
    """What the rows of one part of a table make together."""

    table: str
    bucket: int
    sum: bytes


@dataclass(frozen=True, slots=True)
class RowSum:
    """The MAC of one row."""

    table: str
    key: Value
    mac: bytes


@dataclass(frozen=True, slots=True)
class Comparison:
    """A question about the other's rows, or the answer to one: tables first, then buckets, then rows."""

    number: int
    answer: bool = False
    tables: tuple[TableSum, ...] = ()
    buckets: tuple[BucketSum, ...] = ()
    rows: tuple[RowSum, ...] = ()
    differences: tuple[str, ...] = ()
    done: bool = False
    sequence: int = 0  # of the last entry of the sender's journal when it looked
    repair: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the sender ends the stream."""

    reason: str
    message: str
    epoch: int = 0  # of the server that has the receiver's name, if the receiver is not that one (any more)
    mac: bytes = b""  # with an epoch: over the receiver's nonce


Message: TypeAlias = Hello | Batch | Acknowledgement | Heartbeat | Comparison | Refusal


class Pipe(Protocol):
    """One end of a stream of messages; what goes wrong with it is a QekmError."""

    async def send(self, message: Message) -> None:
        """Return when there is room for more."""

    async def receive(self) -> Message | None:
        """Return the next message, None at the end."""


def signed(message: Hello | Batch, mac: bytes) -> Hello | Batch:
    """Return a message with its MAC."""
    return replace(message, mac=mac)


def _of_keys(keys: tuple[RecordKey, ...]) -> Iterator[Value]:
    yield len(keys)
    for key in keys:
        yield from (key.version, key.sealed)
