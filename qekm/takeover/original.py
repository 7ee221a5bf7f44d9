"""What lies in the directory of an installation of the original, as far as it takes no secret to read it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qekm.errors import BadArgument, BadFile
from qekm.home import Home
from qekm.interchange.jceks.container import MAX_FILE
from qekm.properties import PROPERTIES
from qekm.takeover import drives, properties
from qekm.takeover.directory import Directory
from qekm.takeover.drives import OldDrives
from qekm.takeover.properties import KEY_SET, Line, Sorted

CONFIG, CLIENT, KEYSTORE = "KeyManagerConfig.properties", "ClientKeyManagerConfig.properties", "EKMKeys.jck"
GROUP = "migrated"  # of the keys that are taken over
_MOST_TEXT = 1_048_576  # bytes of a file of properties
# What is named if it is there, since it is known and cannot be read: by the property that names it.
_UNKNOWN_FORMS = (
    ("config.keygroup.xml.file", "KeyGroups.xml", "key groups: their form was never published"),
    ("config.drivetable.file.url", "", "the drive table: its form was never published"),
    ("Audit.metadata.file.name", "", "which cartridge has which key: its form was never published"),
)


@dataclass(frozen=True, slots=True)
class Original:
    """An installation of the original: files that were read, and names of those that were not."""

    directory: Path
    properties: Sorted
    key_set: str  # symmetricKeySet as it is there, empty if nothing of it is wanted
    drives: OldDrives
    keystore: Path
    content: bytes  # of the keystore
    client: Sequence[Line]
    unread: Mapping[str, str]  # why not, by name


def read(directory: Path, home: Home, list_of_drives: Path | None, given: Collection[str]) -> Original:
    """Read an installation.

    list_of_drives: a file, if not one of drives.NAMES there. given: properties that somebody gave another
    value. BadArgument, BadConfiguration and BadFile name what is missing, cannot be read, or is not what it
    should be.
    """
    old = Directory(directory, home)
    lines = _config(old)
    named = {line.name: line for line in lines}
    found = properties.sort(lines, CONFIG, given)
    keystore = _keystore(old, named.get("config.keystore.file"))
    content = old.read(keystore, MAX_FILE)
    table = _place(old, named.get("config.drivetable.file.url"))
    key_set = "" if KEY_SET in given or KEY_SET not in named else named[KEY_SET].text
    drives_there = _drives(old, list_of_drives, table)
    client = old.find(CLIENT)
    client_lines = properties.parse(old.read(client, _MOST_TEXT), CLIENT) if client else []
    unread = dict.fromkeys(old.unread(), "") | _why_unread(old, named)
    return Original(old.path, found, key_set, drives_there, keystore, content, client_lines, unread)


def _config(old: Directory) -> list[Line]:
    """Return the properties of the original; BadArgument if there is no such file, or another's."""
    path = old.find(CONFIG)
    if path is None:
        hint = "name the directory that the original was installed in, or a copy of it"
        raise BadArgument(f"there is no {CONFIG} in {old.path}", hint=hint, field="from")
    lines = properties.parse(old.read(path, _MOST_TEXT), CONFIG)
    if not any(PROPERTIES.find(line.name) for line in lines):
        raise BadFile(f"{path} names no property of the original: is it whole?", file=str(path))
    return lines


def _keystore(old: Directory, line: Line | None) -> Path:
    if line is None:
        found, what = old.find(KEYSTORE), f"there is no {KEYSTORE} in {old.path}"
    else:
        found = _place(old, line)
        what = f"{CONFIG}, line {line.number}: config.keystore.file names {line.typed!r}, not in {old.path}"
    if found is None:
        raise BadFile(what, hint="put the keystore there", file=KEYSTORE)
    return found


def _place(old: Directory, line: Line | None) -> Path | None:
    """Return the file here that a property names; a path of Windows may stand there without escapes."""
    if line is None or not line.text:
        return None
    return old.find(line.text) or old.find(line.typed)


def _drives(old: Directory, named: Path | None, table: Path | None) -> OldDrives:
    """Return the drives of the file that was named, else of the one that is there; none if there is none."""
    there = [found for name in drives.NAMES if (found := old.find(name)) is not None]
    if named is None and len(there) > 1:
        what = f"{' and '.join(found.name for found in there)} are both in {old.path}"
        raise BadArgument(what, hint="say which one names the drives: --drives FILE", field="drives")
    if named is not None or there:
        path = named.absolute() if named else there[0]
        return drives.parse(old.read(path, drives.MOST_BYTES), str(named or path.name))
    if table is not None and drives.is_export(old.peek(table)):
        return drives.parse(old.read(table, drives.MOST_BYTES), table.name)
    return OldDrives("")


def _why_unread(old: Directory, named: Mapping[str, Line]) -> dict[str, str]:
    """Return why files that are known for what they are were not read, by their names."""
    found = {}
    for name, usual, why in _UNKNOWN_FORMS:
        path = _place(old, named.get(name)) or (old.find(usual) if usual else None)
        if path is not None and not old.was_read(path):
            found[str(path.relative_to(old.path))] = why
    return found
