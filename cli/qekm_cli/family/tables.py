"""export, import: the drive table and the configuration, to a FILE: URL and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import unquote

import typer

from qekm.errors import BadArgument
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import Plain, done, plain
from qekm_cli.text import printable

if TYPE_CHECKING:
    from qekm.client import Client

app = Noun()

SCHEME = "file:"


def _path(url: str) -> Path:
    """Return the path of a FILE: URL: FILE:/etc/x, file:///etc/x, FILE:x."""
    if not url.lower().startswith(SCHEME):
        raise typer.BadParameter(f"{url[:80]!r} is no URL of a file, for example FILE:/tmp/drives.csv")
    path = url[len(SCHEME) :]
    if path.startswith("//"):
        host, _, rest = path[2:].partition("/")
        if host not in ("", "localhost"):
            raise typer.BadParameter(f"{url[:80]!r} names another machine; only files of this one are meant")
        path = f"/{rest}"
    if not path.strip("/"):
        raise typer.BadParameter(f"{url[:80]!r} names no file")
    return Path(unquote(path))


Url = Annotated[Path, typer.Option("-url", help="The file.", metavar="FILE:PATH", parser=_path)]
DriveTable = Annotated[bool, typer.Option("-drivetab", help="The drive table, as CSV.")]
Config = Annotated[bool, typer.Option("-config", help="The configuration, as properties.")]


@app.command("export")
def export_table(
    context: typer.Context, url: Url, drivetab: DriveTable = False, config: Config = False
) -> None:
    """Write the drive table or the configuration to a file."""
    from qekm_cli.drive_table import table_of
    from qekm_cli.keypairs import replace

    _check_one(context, drivetab, config)
    with client_of(context) as client:
        text, count = table_of(client) if drivetab else _properties_of(client)
    replace(url, text.encode("ascii"))
    what = "drives" if drivetab else "properties"
    done(context, {"file": str(url), what: count}, f"{count:,} {what} written: {url}")


@app.command("import")
def import_table(
    context: typer.Context,
    url: Url,
    drivetab: DriveTable = False,
    config: Config = False,
    *,
    merge: Annotated[bool, typer.Option("-merge", help="Keep what is not in the file.")] = False,
    rewrite: Annotated[bool, typer.Option("-rewrite", help="Remove what is not in the file.")] = False,
) -> None:
    """Read the drive table or the configuration from a file: all of it, or nothing."""
    from qekm_cli.drive_table import take_table, told

    _check_one(context, drivetab, config)
    if merge == rewrite:
        raise typer.BadParameter("give either -merge or -rewrite", ctx=context)
    with client_of(context) as client:
        if drivetab:
            row = take_table(client, url, rewrite=rewrite)
            sentence = told(row)
        else:
            row = _take_properties(client, url, rewrite=rewrite)
            sentence = f"properties changed: {', '.join(row['changed']) or 'none'}"
            if row["at_restart"]:
                sentence += f"; in force after a restart: {', '.join(row['at_restart'])}"
    done(context, row, "\n".join(printable(line) for line in (sentence, *row.get("notes", ()))))


def _check_one(context: typer.Context, drivetab: bool, config: bool) -> None:
    if drivetab == config:
        raise typer.BadParameter("give either -drivetab or -config", ctx=context)


def _properties_of(client: Client) -> tuple[str, int]:
    """Return the properties that a file sets as the text of a file, and how many they are."""
    import javaproperties

    from qekm.properties.lines import FIRST, LAST

    rows = [row for row in _present(client) if row["source"] == "file"]
    lines = [javaproperties.join_key_value(row["name"], row["value"]) + "\n" for row in rows]
    return "".join([FIRST, *lines, LAST]), len(rows)


def _present(client: Client) -> list[Plain]:
    from qekm.v1 import configuration_pb2 as pb

    return [plain(row) for row in client.configuration.ListProperties(pb.ListPropertiesRequest()).properties]


def _take_properties(client: Client, file: Path, *, rewrite: bool) -> Plain:
    """Set the properties of a file that differ, and unset those that it does not have if it is to rewrite."""
    from qekm.properties.lines import MOST_BYTES, read_lines
    from qekm.v1 import configuration_pb2 as pb

    with file.open("rb") as source:
        wanted = {line.name: line.text for line in read_lines(source.read(MOST_BYTES + 1), str(file))}
    present = {row["name"]: row for row in _present(client)}
    if unknown := [name for name in wanted if name not in present]:
        raise BadArgument(
            f"{file}: there is no property {', '.join(unknown)}", hint="list them with: qekm listconfig"
        )
    changed = {name: text for name, text in wanted.items() if text != _in_file(present[name])}
    gone = [
        name for name, row in present.items() if rewrite and row["source"] == "file" and name not in wanted
    ]
    request = pb.UpdatePropertiesRequest(set=changed, unset=gone)
    row = plain(client.configuration.UpdateProperties(request)) if changed or gone else {}
    return {
        "changed": sorted([*changed, *gone]),
        "at_restart": row.get("at_restart", []),
        "notes": row.get("notes", []),
    }


def _in_file(row: Plain) -> str:
    return str(row["value"] if row["pending_value"] is None else row["pending_value"])
