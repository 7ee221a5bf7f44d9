"""A CSV file of drives: serial[,wwnn,vendor,product,group,alias, and more]. Pure: text in, entries out.

A drive may have any serial of printable ASCII (docs/protocol.md, section 3), and every one can be written and
read back: what is in quotes is the serial as it stands, spaces included (RFC 4180, section 2).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from qekm.errors import BadArgument

FIELDS = ("serial", "wwnn", "vendor", "product", "group", "alias")
MORE_FIELDS = ("firmware", "allowed_groups", "confirm", "label_mode")  # what a whole table has besides
COLUMNS = FIELDS + MORE_FIELDS
LENGTHS = {
    "serial": 16,
    "vendor": 8,
    "product": 16,
    "firmware": 4,
    "group": 64,
}  # T10 field widths; group as in groups.proto
_CONFIRM = {"": None, "yes": True, "no": False}
_LABEL_MODES = ("", "full", "t10")
SHOWN = 20  # errors told at once
_CELL = re.compile(r'[ \t]*+(?:"([^"]*(?:""[^"]*)*)"[ \t]*|((?!")[^,]*))(,|$)')  # in quotes, or without
_SEPARATORS = str.maketrans("", "", ":-. ")


@dataclass(frozen=True, slots=True)
class Entry:
    """One drive of the file and the line it stands on; what is empty or None is not said."""

    line: int
    serial: str
    wwnn: bytes = b""
    vendor: str = ""
    product: str = ""
    group: str = ""
    alias: str = ""
    firmware: str = ""
    allowed_groups: tuple[str, ...] = ()
    confirm: bool | None = None
    label_mode: str = ""

    def fields(self) -> dict[str, Any]:
        """Return what the file says of the drive, by the names of qekm.v1.Drive."""
        said = {name: getattr(self, name) for name in COLUMNS}
        if self.label_mode:
            said["label_mode"] = f"LABEL_MODE_{self.label_mode.upper()}"
        return {name: value for name, value in said.items() if value not in ("", b"", (), None)}


def normal_serial(serial: str) -> str:
    """Return a serial as the registry stores it: 10 digits get two leading zeros, as in the original."""
    return f"00{serial}" if len(serial) == 10 and serial.isdecimal() else serial


def parse_wwnn(text: str) -> bytes:
    """Return the 8 bytes of a world-wide node name in hex, with or without separators; raises ValueError."""
    digits = text.translate(_SEPARATORS).removeprefix("0x")
    try:
        wwnn = bytes.fromhex(digits)
    except ValueError:
        wwnn = b""
    if len(wwnn) != 8:
        raise ValueError(f"{text!r} is not a world-wide node name: 16 hex digits, as in 500308c09e4a1001")
    return wwnn


def parse(text: str) -> list[Entry]:
    """Return the entries of a file; raises BadArgument that names every bad line.

    A first line that starts with the word serial names the columns in another order; empty lines and
    lines that start with # are skipped.
    """
    names: tuple[str, ...] = ()
    entries: list[Entry] = []
    faults: list[str] = []
    for line, source in _lines(text):
        try:
            cells = _cells(source)
            if not names and cells[0].lower() == "serial":
                names = _columns(line, cells)
            elif any(cells):
                names = names or COLUMNS
                entries.append(_entry(line, names, cells))
        except ValueError as error:
            faults.append(f"line {line}: {error}")
    if not entries and not faults:
        faults.append("no drive in it; a line is serial[,wwnn,vendor,product,group,alias]")
    refuse(faults + _repeated(entries))
    return entries


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty and no comment, with their numbers."""
    for line, source in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        if source and not source.startswith("#"):
            yield line, source


def _cells(source: str) -> list[str]:
    """Return the cells of a line without spaces around them, but those of a first one in quotes."""
    cells, place, end = list[str](), 0, ","
    while end:
        found = _CELL.match(source, place)
        if found is None:
            raise ValueError('a quote (") stands where none can be, or lacks its other one')
        quoted, bare, end = found.groups()
        text = bare.strip() if quoted is None else quoted.replace('""', '"')
        cells.append(text.strip() if cells else text)
        place = found.end()
    return cells


def _columns(line: int, cells: list[str]) -> tuple[str, ...]:
    names = tuple(cell.lower() for cell in cells)
    refuse([f"line {line}: unknown column {name!r}" for name in names if name not in COLUMNS])
    return names


def _entry(line: int, names: tuple[str, ...], cells: list[str]) -> Entry:
    if len(cells) > len(names):
        raise ValueError(f"{len(cells)} fields where at most {len(names)} are expected: {', '.join(names)}")
    given = dict(zip(names, cells, strict=False))
    if not given.get("serial"):
        raise ValueError("the serial is missing")
    for name, length in LENGTHS.items():
        value = given.get(name, "")
        if len(value) > length or not (value.isascii() and value.isprintable()):
            raise ValueError(f"{name} {value!r} is not at most {length} printable ASCII characters")
    read: dict[str, Any] = {name: _READERS[name](value) for name, value in given.items() if name in _READERS}
    return Entry(line=line, **{**given, **read})


def _groups(text: str) -> tuple[str, ...]:
    """Return the names of groups, between which there are spaces."""
    names = tuple(text.split())
    if not all(len(name) <= LENGTHS["group"] and name.isascii() and name.isprintable() for name in names):
        raise ValueError(f"allowed_groups {text!r} are not names of groups with spaces between them")
    return names


def _confirm(text: str) -> bool | None:
    if text.lower() not in _CONFIRM:
        raise ValueError(f"confirm {text!r} is neither yes nor no")
    return _CONFIRM[text.lower()]


def _label_mode(text: str) -> str:
    if text.lower() not in _LABEL_MODES:
        raise ValueError(f"label_mode {text!r} is neither full nor t10")
    return text.lower()


_READERS = {
    "serial": normal_serial,
    "wwnn": lambda text: parse_wwnn(text) if text else b"",
    "allowed_groups": _groups,
    "confirm": _confirm,
    "label_mode": _label_mode,
}


def serialize(entries: Iterable[Entry]) -> str:
    """Return the text of a file with all columns, which `parse` reads back."""
    rows = ([_quoted(_cell(getattr(entry, name))) for name in COLUMNS] for entry in entries)
    return "".join(",".join(row) + "\n" for row in (COLUMNS, *rows))


def _cell(value: str | bytes | tuple[str, ...] | bool | None) -> str:
    match value:
        case bytes():
            return value.hex()
        case tuple():
            return " ".join(value)
        case bool():
            return "yes" if value else "no"
    return value or ""


def _quoted(text: str) -> str:
    """Return what stands in a line, in quotes if it would be another thing without them."""
    if text == text.strip() and not text.startswith("#") and not {*text} & {*',"'}:
        return text
    return '"' + text.replace('"', '""') + '"'


def _repeated(entries: list[Entry]) -> list[str]:
    """Return an error for each serial or WWNN that an earlier line has."""
    faults = []
    first: dict[str | bytes, int] = {}
    for entry in entries:
        for name, value in (("serial", entry.serial), ("wwnn", entry.wwnn)):
            if value and first.setdefault(value, entry.line) != entry.line:
                faults.append(f"line {entry.line}: the {name} is on line {first[value]} already")
    return faults


def check(
    entries: list[Entry], drives: Collection[str | bytes], groups: Collection[str], aliases: Collection[str]
) -> None:
    """Refuse entries that the service would refuse: known serials or WWNNs, unknown groups or aliases."""
    faults = []
    for entry in entries:
        if entry.serial in drives:
            faults.append(f"line {entry.line}: drive {entry.serial} exists already")
        if entry.wwnn in drives:
            faults.append(f"line {entry.line}: another drive has the WWNN {entry.wwnn.hex()}")
        for group in filter(None, (entry.group, *entry.allowed_groups)):
            if group not in groups:
                faults.append(f"line {entry.line}: no group is called {group!r}")
        if entry.alias and entry.alias not in aliases:
            faults.append(f"line {entry.line}: no key has the alias {entry.alias!r}")
    refuse(faults)


def refuse(faults: list[str]) -> None:
    """Raise BadArgument with one line for each fault, if there are any."""
    if faults:
        more = [f"and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        hint = "no drive was added; correct the file and run it again"
        raise BadArgument("\n".join(faults[:SHOWN] + more), hint=hint)
