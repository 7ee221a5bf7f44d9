"""A welcome as a message and back."""

from __future__ import annotations

from collections.abc import Iterator

from qekm.errors import PeerRefused
from qekm.store.journal import Line
from qekm.v1 import peers_pb2 as pb
from qekm.welcome import Welcome

_ROWS = 1_000  # in one part: 0.2 MB of drives, 2 MB of vaults if there were so many

Value = int | str | bytes | None


def to_proto(welcome: Welcome) -> pb.Welcome:
    """Return the message; rows name their table by its place among the columns."""
    places = {name: place for place, name in enumerate(welcome.columns)}
    return pb.Welcome(
        certificate=welcome.certificate,
        trust=welcome.trust,
        estate_id=welcome.estate_id,
        wrapping_key=welcome.wrapping_key,
        wrapped=welcome.wrapped,
        rows=[_row(line, places[line.table]) for line in welcome.lines],
        row_count=len(welcome.lines),
        tables=[pb.TableColumns(table=name, columns=names) for name, names in welcome.columns.items()],
        record_versions=welcome.record_versions,
        properties=welcome.properties,
    )


def parts_of(message: pb.Welcome) -> Iterator[pb.Welcome]:
    """Yield a message in parts that are small enough to be sent; together, merged, they are the whole."""
    rest = pb.Welcome()
    rest.CopyFrom(message)
    del rest.rows[_ROWS:]
    yield rest
    for start in range(_ROWS, len(message.rows), _ROWS):
        yield pb.Welcome(rows=message.rows[start : start + _ROWS])


def of_proto(message: pb.Welcome) -> Welcome:
    """Return what a message says; PeerRefused for rows of no table or without a key."""
    columns = {each.table: tuple(each.columns) for each in message.tables}
    names = [each.table for each in message.tables]
    return Welcome(
        certificate=message.certificate,
        trust=message.trust,
        estate_id=message.estate_id,
        wrapping_key=message.wrapping_key,
        wrapped=message.wrapped,
        columns=columns,
        lines=tuple(_line(row, names) for row in message.rows),
        record_versions=tuple(message.record_versions),
        properties=dict(message.properties),
    )


def _row(line: Line, place: int) -> pb.Row:
    values = map(_value, line.values)
    return pb.Row(
        sequence=line.sequence,
        table=place,
        values=values,
        stamp=line.stamp_us,
        origin=line.origin,
        removed=line.removed,
    )


def _line(row: pb.Row, names: list[str]) -> Line:
    values = tuple(_plain(value) for value in row.values)
    if row.table >= len(names) or not values or values[0] is None:
        raise PeerRefused("the welcome has a row that cannot be", peer="")
    return Line(row.sequence, names[row.table], values[0], row.stamp, row.origin, row.removed, values)


def _value(value: Value) -> pb.Value:
    match value:
        case None:
            return pb.Value()
        case int():
            return pb.Value(number=value)
        case str():
            return pb.Value(text=value)
    return pb.Value(octets=value)


def _plain(value: pb.Value) -> Value:
    kind = value.WhichOneof("kind")
    found: Value = getattr(value, kind) if kind else None
    return found
