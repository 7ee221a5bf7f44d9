"""What people and programs see: tables, records and JSON documents, all made from the same plain values.

A message becomes a dict with the proto's field names: bytes as hex (PEM as text), enums as lower-case
words, times as UTC ISO 8601, what is absent as null. Tables pick from that dict.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

import typer

from qekm.text import printable
from qekm_cli.connection import invocation_of

if TYPE_CHECKING:
    from google.protobuf.message import Message

Plain = dict[str, Any]
PAGE_SIZE = 1000  # the service's maximum
GAP = "  "
MEASURED = 1000  # rows looked at before the widths of a table are settled
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(str):
    """A time as ISO 8601 text with microseconds; tables show it to the second."""

    __slots__ = ()

    @property
    def seconds(self) -> str:
        """Return the text without the fraction."""
        return self[:19] + "Z"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its title, and the field or the function that fills it."""

    title: str
    value: str | Callable[[Plain], object]

    def of(self, row: Plain) -> str:
        """Return the cell of a row."""
        return cell(row[self.value] if isinstance(self.value, str) else self.value(row))


def plain(message: Message) -> Plain:
    """Return every field of a message as plain values; total over all field types that qekm.v1 uses."""
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def _field(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.is_repeated:
        return [_single(item, field) for item in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _single(value, field)


def _single(value: Any, field: Any) -> Any:
    if field.enum_type is not None:
        return _word(value, field)
    if field.message_type is not None:
        return _time(value) if field.message_type.full_name == "google.protobuf.Timestamp" else plain(value)
    if isinstance(value, bytes):
        return value.decode("ascii", "replace") if field.name.endswith("pem") else value.hex()
    return value


def _word(number: int, field: Any) -> str | int:
    """Return KEY_STATE_PROCESS_ONLY as process-only; a number that this version does not know stays one."""
    names = field.enum_type.values_by_number
    zero = names[0].name.removesuffix("UNSPECIFIED")
    known = names.get(number)
    return known.name.removeprefix(zero).lower().replace("_", "-") if known else number


def _time(value: Any) -> Moment:
    """Return a Timestamp as 2026-11-23T17:04:05.123456Z."""
    moment = _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    return Moment(moment.isoformat(timespec="microseconds").replace("+00:00", "Z"))


def cell(value: object) -> str:
    """Return a value as one line of text that cannot steer a terminal; times to the second."""
    match value:
        case None | "" | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(map(cell, value))
        case Moment():
            return value.seconds
    return printable(str(value))


def pages(call: Callable[[Any], Any], request: Any, field: str, limit: int = 0) -> Iterator[Any]:
    """Yield the items of all pages of a List call; pages are no larger than a `limit` that the caller has."""
    request.page_size = min(limit or PAGE_SIZE, PAGE_SIZE)
    while True:
        response = call(request)
        yield from getattr(response, field)
        request.page_token = response.next_page_token
        if not request.page_token:
            return


def wants_json(context: typer.Context) -> bool:
    """Tell whether --json was given."""
    return invocation_of(context).json


def listing(context: typer.Context, name: str, rows: Iterable[Plain], columns: Sequence[Column]) -> None:
    """Print rows as a table, or as one JSON document {name: [row, …]}; either grows as the rows come in."""
    lines = _document(name, rows) if wants_json(context) else table(columns, rows)
    for line in lines:
        print(line)


def _document(name: str, rows: Iterable[Plain]) -> Iterator[str]:
    """Yield the lines of a document with one row a line."""
    yield f"{{{json.dumps(name)}: ["
    waiting = ""
    for row in rows:
        if waiting:
            yield waiting + ","
        waiting = "  " + json.dumps(row)
    if waiting:
        yield waiting
    yield "]}"


def table(columns: Sequence[Column], rows: Iterable[Plain]) -> Iterator[str]:
    """Yield the lines of a table: widths fit the first 1,000 rows, the last column runs free."""
    titles = [column.title for column in columns]
    cells = ([column.of(row) for column in columns] for row in rows)
    first = list(islice(cells, MEASURED))
    widths = [max(map(len, column)) for column in zip(titles, *first, strict=True)][:-1]
    for line in chain([titles], first, cells):
        padded = [text.ljust(width) for text, width in zip(line, widths, strict=False)]
        yield GAP.join([*padded, line[-1]]).rstrip()


def record(context: typer.Context, row: Plain, columns: Sequence[Column]) -> None:
    """Print one thing: a line per field, or its JSON document."""
    if wants_json(context):
        document(row)
        return
    width = max(len(column.title) for column in columns)
    for column in columns:
        print(f"{column.title.ljust(width)}{GAP}{column.of(row)}")


def document(value: object) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2))


def done(context: typer.Context, row: Plain, sentence: str) -> None:
    """Tell that something was done: a sentence for people, what there is now for programs."""
    if wants_json(context):
        document(row)
    else:
        print(sentence)


def progress(label: str, total: int) -> Any:
    """Return a progress bar for a `with` block, on standard error and only if that is a terminal."""
    hidden = sys.stderr is None or not sys.stderr.isatty()
    return typer.progressbar(length=total, label=label, file=sys.stderr, hidden=hidden, show_pos=True)
