"""A CSV file of drives: serial[,wwnn,vendor,product,group,alias]. Pure: text in, entries or bad lines out."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from qekm.errors import BadArgument

FIELDS = ("serial", "wwnn", "vendor", "product", "group", "alias")
LENGTHS = {
    "serial": 16,
    "vendor": 8,
    "product": 16,
    "group": 64,
}  # T10 field widths; group as in groups.proto
SHOWN = 20  # errors told at once
_SEPARATORS = str.maketrans("", "", ":-. ")


@dataclass(frozen=True, slots=True)
class Entry:
    """One drive of the file and the line it stands on."""

    line: int
    serial: str
    wwnn: bytes = b""
    vendor: str = ""
    product: str = ""
    group: str = ""
    alias: str = ""

    def fields(self) -> dict[str, str | bytes]:
        """Return what the file says of the drive, by the names of qekm.v1.Drive."""
        return {name: getattr(self, name) for name in FIELDS}


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
    names: tuple[str, ...] = FIELDS
    entries: list[Entry] = []
    faults: list[str] = []
    for line, cells in _lines(text):
        if not entries and not faults and cells[0].lower() == "serial":
            names = tuple(cell.lower() for cell in cells)
            refuse([f"line {line}: unknown column {name!r}" for name in names if name not in FIELDS])
            continue
        try:
            entries.append(_entry(line, names, cells))
        except ValueError as error:
            faults.append(f"line {line}: {error}")
    if not entries and not faults:
        faults.append("no drive in it; a line is serial[,wwnn,vendor,product,group,alias]")
    refuse(faults + _repeated(entries))
    return entries


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and stripped cells of each line that is not empty and no comment."""
    reader = csv.reader(text.removeprefix("\ufeff").splitlines(), strict=True)
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise BadArgument(f"line {reader.line_num}: {error}") from error
        if cells is None:
            return
        if any(cells) and not cells[0].startswith("#"):
            yield reader.line_num, [cell.strip() for cell in cells]


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
    wwnn = parse_wwnn(given.pop("wwnn")) if given.get("wwnn") else b""
    given.pop("wwnn", None)
    return Entry(line=line, wwnn=wwnn, **{**given, "serial": normal_serial(given["serial"])})


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
        if entry.group and entry.group not in groups:
            faults.append(f"line {entry.line}: no group is called {entry.group!r}")
        if entry.alias and entry.alias not in aliases:
            faults.append(f"line {entry.line}: no key has the alias {entry.alias!r}")
    refuse(faults)


def refuse(faults: list[str]) -> None:
    """Raise BadArgument with one line for each fault, if there are any."""
    if faults:
        more = [f"and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        hint = "no drive was added; correct the file and run it again"
        raise BadArgument("\n".join(faults[:SHOWN] + more), hint=hint)
