"""The configuration as a file of properties: written out of a running service, and taken in by one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qekm.errors import BadArgument
from qekm_cli.render import Plain, plain

if TYPE_CHECKING:
    from qekm.client import Client


def text_of(client: Client) -> tuple[str, int]:
    """Return the properties that the service's file sets as the text of a file, and how many they are.

    Passwords of the family's are left out: nobody is told them.
    """
    import javaproperties

    from qekm.properties import is_password
    from qekm.properties.lines import FIRST, LAST

    rows = [row for row in _present(client) if _is_set(row) and not is_password(row["name"])]
    lines = [javaproperties.join_key_value(row["name"], row["file_value"]) + "\n" for row in rows]
    return "".join([FIRST, *lines, LAST]), len(rows)


def take_file(client: Client, file: Path, *, rewrite: bool) -> Plain:
    """Set the properties of a file that differ, all or none, and tell what came of it.

    rewrite: have those that it does not name their defaults again. Raises BadConfiguration, BadArgument,
    NotFromAfar, OSError.
    """
    from qekm.properties import PROPERTIES
    from qekm.properties.lines import MOST_BYTES, read_lines
    from qekm.v1 import configuration_pb2 as pb

    with file.open("rb") as source:
        lines = list(read_lines(source.read(MOST_BYTES + 1), str(file)))
    found = {line.name: PROPERTIES.find(line.name) for line in lines}
    wanted = {(found[line.name] or line).name: line.text for line in lines}
    present = {row["name"]: row for row in _present(client)}
    if unknown := [name for name in wanted if name not in present]:
        hint = "list them with: qekm config list"
        raise BadArgument(f"{file}: there is no property {', '.join(unknown)}", hint=hint, field="file")
    changed = {name: text for name, text in wanted.items() if text != _in_file(present[name])}
    gone = [name for name, row in present.items() if rewrite and _is_set(row) and name not in wanted]
    request = pb.UpdatePropertiesRequest(set=changed, unset=gone)
    row = plain(client.configuration.UpdateProperties(request)) if changed or gone else {}
    return {
        "changed": sorted([*changed, *gone]),
        "at_restart": row.get("at_restart", []),
        "notes": row.get("notes", []),
    }


def _present(client: Client) -> list[Plain]:
    from qekm.v1 import configuration_pb2 as pb

    return [plain(row) for row in client.configuration.ListProperties(pb.ListPropertiesRequest()).properties]


def _is_set(row: Plain) -> bool:
    """Tell whether the service's file has a property; that the environment may win does not count."""
    return row["file_value"] is not None


def _in_file(row: Plain) -> str:
    return str(row["file_value"] if _is_set(row) else row["default_value"])
