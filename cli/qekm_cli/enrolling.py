"""Adding drives before they first ask: one by one, or all of a file after the whole file was checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qekm.errors import BadArgument, QekmError, UnknownKey
from qekm.interchange.roster import Entry, check, parse
from qekm.v1 import drives_pb2, groups_pb2, keystore_pb2
from qekm_cli.render import Plain, pages, plain, progress

if TYPE_CHECKING:
    from qekm.client import Client


def enrol(client: Client, fields: dict[str, Any]) -> Plain:
    """Add one drive by the fields of qekm.v1.Drive and return its entry."""
    drive = drives_pb2.Drive(**fields)
    return plain(client.drives.CreateDrive(drives_pb2.CreateDriveRequest(drive=drive)).drive)


def enrol_file(client: Client, path: Path) -> list[Plain]:
    """Add all drives of a CSV file; nothing is sent before every line was checked.

    Raises BadArgument that names each bad line; an error of the service names the line at which it came.
    """
    entries = _read(client, path)
    added: list[Plain] = []
    with progress("adding drives", len(entries)) as bar:
        for entry in entries:
            try:
                added.append(enrol(client, entry.fields()))
            except QekmError as error:
                error.message = f"{path}: line {entry.line}: {error.message}"
                error.advice = f"the {len(added)} drives before it were added: take those lines out and go on"
                raise
            bar.update(1)
    return added


def _read(client: Client, path: Path) -> list[Entry]:
    try:
        entries = parse(path.read_text(encoding="utf-8"))
        _check(client, entries)
    except UnicodeDecodeError as error:
        raise BadArgument(f"{path}: not a text file in UTF-8") from error
    except BadArgument as error:
        error.message = "\n".join(f"{path}: {line}" for line in error.message.splitlines())
        raise
    return entries


def _check(client: Client, entries: list[Entry]) -> None:
    """Compare the file with what the service has."""
    drives: set[str | bytes] = set()
    for drive in pages(client.drives.ListDrives, drives_pb2.ListDrivesRequest(), "drives"):
        drives |= {drive.serial, drive.wwnn} - {b""}
    groups = pages(client.groups.ListGroups, groups_pb2.ListGroupsRequest(), "groups")
    aliases = {entry.alias for entry in entries if entry.alias}
    known = {group.name for group in groups}
    check(entries, drives, known, {alias for alias in aliases if _is_key(client, alias)})


def _is_key(client: Client, alias: str) -> bool:
    try:
        client.keystore.GetKey(keystore_pb2.GetKeyRequest(alias=alias))
    except (UnknownKey, BadArgument):
        return False
    return True
