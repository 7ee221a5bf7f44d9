"""What the original's listDrivesQEKMServer prints, kept in a file. Pure: text in, drives or bad lines out.

`Drive entries: 2`, then for each drive `SerialNumber = …`; what the verbose form adds to a drive was never
published, but that it is LABEL = VALUE as well.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from qekm.interchange.roster import LENGTHS, normal_serial, refuse

_HEAD = re.compile(r"(?:.*\s)?Drive entries: *([0-9]{1,9})", re.ASCII)  # behind a prompt, perhaps
_PAIR = re.compile(r"([^=]*[^=\s])\s*=\s*(.*)")
_SERIAL = "SerialNumber"


@dataclass(frozen=True, slots=True)
class Remark:
    """What the listing says of a drive besides its serial."""

    line: int
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A drive of the listing and the line it stands on; the serial as the registry spells it."""

    line: int
    serial: str
    remarks: tuple[Remark, ...] = ()


def is_listing(text: str) -> bool:
    """Tell whether a text means to be such a listing, whole or not."""
    return re.search(rf"Drive entries:|^\s*{_SERIAL}\s*=", text, re.MULTILINE) is not None


def parse(text: str) -> list[Listed]:
    """Return the drives of a listing; BadArgument that names every bad line.

    What a terminal shows before the first line of the listing is skipped, if no drive is in it.
    """
    count, found, faults = -1, list[Listed](), list[str]()
    for number, line in enumerate(map(str.strip, text.split("\n")), 1):
        head, pair = _HEAD.fullmatch(line), _PAIR.fullmatch(line)
        if head and count < 0:
            count = int(head[1])
        elif pair and pair[1] == _SERIAL:
            found.append(Listed(number, normal_serial(pair[2])))
            faults += _faults(found[-1])
        elif pair and found:
            remarks = (*found[-1].remarks, Remark(number, pair[1], pair[2]))
            found[-1] = replace(found[-1], remarks=remarks)
        elif line and (count >= 0 or pair):
            faults.append(f"line {number}: {line[:60]!r} is not SerialNumber = …")
    if text and not text.endswith("\n"):  # half of a serial looks like one
        faults.append(f"line {len(text.splitlines())}: the last line has no end: is the file whole?")
    refuse([*faults, *_repeated(found), *_miscounted(count, len(found))])
    return found


def _faults(drive: Listed) -> list[str]:
    """Return what is wrong with a serial."""
    serial, most = drive.serial, LENGTHS["serial"]
    if serial and len(serial) <= most and serial.isascii() and serial.isprintable():
        return []
    return [f"line {drive.line}: {serial[:60]!r} is no serial: 1 to {most} printable ASCII characters"]


def _repeated(drives: list[Listed]) -> list[str]:
    first: dict[str, int] = {}
    return [
        f"line {drive.line}: drive {drive.serial} is on line {first[drive.serial]} already"
        for drive in drives
        if first.setdefault(drive.serial, drive.line) != drive.line
    ]


def _miscounted(claimed: int, found: int) -> list[str]:
    """Return what is wrong with the number in the first line: a listing that was cut off shows there."""
    if claimed < 0:
        return ["there is no line `Drive entries: n`"]
    return [] if claimed == found else [f"it says {claimed:,} drive entries and has {found:,}: is it whole?"]
