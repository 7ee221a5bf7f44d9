"""The lines of a file of properties, as java.util.Properties has it: ISO 8859-1, \\u escapes. Pure.

A file of ours begins and ends with a line that says so: one that was cut off, half copied for example, is not
mistaken for a whole one whose last properties have their defaults.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import javaproperties

from qekm.errors import BadConfiguration
from qekm.properties.property import Property
from qekm.properties.table import Table

ENCODING = "iso-8859-1"
FIRST = "# Q-EKM: a whole file has an end, a line that says so.\n"
LAST = "# End.\n"
MOST_BYTES = 1 << 20
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Line:
    """One property of a file: its name, its text without blanks around it, and its place for messages."""

    name: str
    text: str
    number: int


def read_lines(content: bytes, file: str) -> Iterator[Line]:
    """Yield the properties of a file; BadConfiguration names the line of what cannot be read.

    Whether the file is whole is told last, so that a property that cannot be used is named first.
    """
    text = _decoded(content, file)
    number, ended = 1, False
    try:
        for element in javaproperties.parse(text):
            ended = ended or _is_end(element)
            if isinstance(element, javaproperties.KeyValue):
                _check_encoding(element.source, number, file)
                yield Line(element.key, element.value.strip(), number)
            number += len(element.source.splitlines())
    except javaproperties.InvalidUEscapeError as error:
        raise bad(f"{file}, line {number}: {error}", line=number) from None
    _check_whole(text, ended, number - 1, file)


def amended(text: str, values: Mapping[str, str], unset: Iterable[str], table: Table) -> str:
    """Return a file's text with properties set and others taken out; all else stays as it is, in order."""
    elements = list(javaproperties.parse(text))
    has_end = any(map(_is_end, elements))
    found = javaproperties.PropertiesFile.loads("".join(x.source for x in elements if not _is_end(x)))
    for name, value in values.items():
        for spelling in _present(found, name, table) or [name]:
            found[spelling] = value
    for name in unset:
        for spelling in _present(found, name, table):
            del found[spelling]
    written: str = found.dumps()
    if has_end or not written:
        begun = written or FIRST
        written = begun + ("" if begun.endswith("\n") else "\n") + LAST
    return re.sub(r"\r?\n", "\r\n", written) if text.count("\r\n") == text.count("\n") else written


def explained(table: Table, overrides: Mapping[str, str]) -> str:
    """Return the text of a new file: every property that means something, with its help and its value."""
    shown = [item for item in table.values() if item.origin != "kept" or item.name in overrides]
    entries = (_entry(item, overrides.get(item.name, item.default)) for item in shown)
    return "\n".join((FIRST, *entries, LAST))


def bad(message: str, name: str = "", line: int | None = None, hint: str | None = None) -> BadConfiguration:
    """Return the error of a file, with the property and the line in its details."""
    return BadConfiguration(message, hint=hint, property=name, line="" if line is None else str(line))


def _decoded(content: bytes, file: str) -> str:
    if len(content) > MOST_BYTES:
        raise bad(f"{file} has more than {MOST_BYTES:,} bytes: it is no file of properties")
    if content.startswith(_MARKS) or b"\x00" in content:
        line = content[: max(content.find(b"\x00"), 0)].count(b"\n") + 1
        what = "it is damaged, or of another encoding than ISO 8859-1"
        raise bad(f"{file}, line {line}: these bytes cannot be in it: {what}", line=line)
    return content.decode(ENCODING)


def _check_encoding(source: str, number: int, file: str) -> None:
    """Refuse what is meant as UTF-8, which read as ISO 8859-1 would silently be another text."""
    if source.isascii():
        return
    try:
        source.encode(ENCODING).decode()
    except UnicodeDecodeError:
        return
    hint = "the file's encoding is ISO 8859-1; other characters are written as in \\u00e4"
    raise bad(f"{file}, line {number}: this line is UTF-8", line=number, hint=hint)


def _is_end(element: javaproperties.PropertiesElement) -> bool:
    """Tell whether a line says that the file is whole; one that goes on a value does not."""
    return isinstance(element, javaproperties.Comment) and element.source.rstrip() == LAST.rstrip()


def _check_whole(text: str, ended: bool, last: int, file: str) -> None:
    begun = text.startswith(FIRST.rstrip()) or FIRST.startswith(text)  # an empty file has not even begun
    if (begun and not ended) or re.search(r"(?<!\\)(\\\\)*\\\Z", text):
        hint = "put back a whole one; the version before the last change is beside it, with .1 in its name"
        raise bad(f"{file} was cut off after line {last}: its end is missing", line=last, hint=hint)


def _present(found: Mapping[str, str], name: str, table: Table) -> list[str]:
    """Return under which of its names a property is in a file."""
    item = table.find(name)
    spellings = (name,) if item is None else (item.name, *item.also)
    return [spelling for spelling in spellings if spelling in found]


def _entry(item: Property, value: str) -> str:
    unit = f" Unit: {item.unit}." if item.unit else ""
    return f"# {item.help}{unit} Default: {item.default}\n{javaproperties.join_key_value(item.name, value)}\n"
