"""The original's drives, from what people can export of its drive table. Pure: bytes in, entries out."""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection
from dataclasses import dataclass

from qekm.errors import BadArgument
from qekm.interchange import listing, roster
from qekm.model import Drive, DriveState, LabelMode

MOST_BYTES = 8 * 2**20
NAMES = ("listdrives.txt", "drives.csv")  # as which it is found in the directory
_ALIAS = re.compile(r"(key)?alias[12]?|(key)?group|rec[12]|symrec")
_KNOWN = re.compile(r"(drive)?(wwn|wwnn|worldwide(node)?(name|id)|vendor|product|firmware|lastseen|serial)")
_HINT = "nothing was made: correct the file, or leave it out and add the drives later: qekm drives add --csv"


@dataclass(frozen=True, slots=True)
class OldDrive:
    """A drive as the original had it: its entry here, and what it named there as its own."""

    line: int
    entry: Drive
    keys: tuple[str, ...] = ()  # aliases, groups or certificates: of which kind nobody knows


@dataclass(frozen=True, slots=True)
class OldDrives:
    """The drives of a file, and the lines of it that were not understood or not needed."""

    file: str
    drives: tuple[OldDrive, ...] = ()
    unclear: tuple[listing.Remark, ...] = ()
    untaken: tuple[str, ...] = ()  # labels of what each drive tells of itself when it first asks


def parse(content: bytes, file: str) -> OldDrives:
    """Return the drives of a listing or a CSV file; BadArgument names the file and every bad line."""
    try:
        text = _decode(content)
        if listing.is_listing(text):
            return _listed(text, file)
        return OldDrives(file, tuple(map(_entered, roster.parse(text))))
    except UnicodeDecodeError:
        raise BadArgument(f"{file}: not a text file in UTF-8", hint=_HINT, field="drives") from None
    except BadArgument as error:
        raise _named(file, error) from None


def check_groups(found: OldDrives, groups: Collection[str]) -> None:
    """Raise BadArgument that names every line with a group that is none of these."""
    faults = [
        f"line {drive.line}: no group is called {group!r}"
        for drive in found.drives
        for group in filter(None, (drive.entry.group, *drive.entry.allowed_groups))
        if group not in groups
    ]
    try:
        roster.refuse(faults)
    except BadArgument as error:
        raise _named(found.file, error) from None


def _named(file: str, error: BadArgument) -> BadArgument:
    """Return an error whose lines name the file."""
    what = "\n".join(f"{file}: {line}" for line in error.message.splitlines())
    return BadArgument(what, hint=_HINT, field="drives")


def is_export(content: bytes) -> bool:
    """Tell whether a file begins as the drive table that this program writes: as CSV, with a heading."""
    return content.startswith(roster.FIELDS[0].encode())


def _decode(content: bytes) -> str:
    """Return a text, which a shell of Windows writes in UTF-16."""
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig")


def _listed(text: str, file: str) -> OldDrives:
    drives, unclear, untaken = list[OldDrive](), list[listing.Remark](), dict[str, None]()
    for drive in listing.parse(text):
        named = [each.value for each in drive.remarks if _is(_ALIAS, each) and each.value]
        unclear += [each for each in drive.remarks if not (_is(_ALIAS, each) or _is(_KNOWN, each))]
        untaken |= dict.fromkeys(each.label for each in drive.remarks if _is(_KNOWN, each))
        drives.append(OldDrive(drive.line, Drive(drive.serial, DriveState.ACCEPTED, 0), tuple(named)))
    return OldDrives(file, tuple(drives), tuple(unclear), tuple(untaken))


def _is(labels: re.Pattern[str], remark: listing.Remark) -> bool:
    return labels.fullmatch(re.sub("[^a-z0-9]", "", remark.label.lower())) is not None


def _entered(entry: roster.Entry) -> OldDrive:
    drive = Drive(
        entry.serial,
        DriveState.ACCEPTED,
        0,
        entry.wwnn,
        entry.vendor,
        entry.product,
        entry.firmware,
        allowed_groups=entry.allowed_groups,
        group=entry.group,
        confirm=entry.confirm is not False,
        label_mode=LabelMode.T10 if entry.label_mode == "t10" else LabelMode.FULL,
    )
    return OldDrive(entry.line, drive, (entry.alias,) if entry.alias else ())
