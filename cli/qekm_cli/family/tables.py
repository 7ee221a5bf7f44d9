"""export, import: the drive table and the configuration, to a FILE: URL and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qekm.text import printable
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import done

app = Noun()


def _path(url: str) -> Path:
    """Return the path of a FILE: URL: FILE:/etc/x, file:///etc/x, FILE:x."""
    from qekm.properties.readers import file_or_none

    try:
        if url.lower().startswith("file:"):
            return Path(file_or_none(url))
    except ValueError:
        pass
    what = "is no URL of a file of this machine, for example FILE:/tmp/drives.csv"
    raise typer.BadParameter(f"{url[:80]!r} {what}")


Url = Annotated[Path, typer.Option("-url", help="The file.", metavar="FILE:PATH", parser=_path)]
DriveTable = Annotated[bool, typer.Option("-drivetab", help="The drive table, as CSV.")]
Config = Annotated[bool, typer.Option("-config", help="The configuration, as properties.")]


@app.command("export")
def export_table(
    context: typer.Context, url: Url, drivetab: DriveTable = False, config: Config = False
) -> None:
    """Write the drive table or the configuration to a file."""
    from qekm.durable import replace
    from qekm_cli.drive_table import table_of
    from qekm_cli.property_file import text_of

    _check_one(context, drivetab, config)
    with client_of(context) as client:
        text, count = table_of(client) if drivetab else text_of(client)
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
    from qekm_cli.property_file import take_file

    _check_one(context, drivetab, config)
    if merge == rewrite:
        raise typer.BadParameter("give either -merge or -rewrite", ctx=context)
    with client_of(context) as client:
        if drivetab:
            row = take_table(client, url, rewrite=rewrite)
            sentence = told(row)
        else:
            row = take_file(client, url, rewrite=rewrite)
            sentence = f"properties changed: {', '.join(row['changed']) or 'none'}"
            if row["at_restart"]:
                sentence += f"; in force after a restart: {', '.join(row['at_restart'])}"
    done(context, row, "\n".join(printable(line) for line in (sentence, *row.get("notes", ()))))


def _check_one(context: typer.Context, drivetab: bool, config: bool) -> None:
    if drivetab == config:
        raise typer.BadParameter("give either -drivetab or -config", ctx=context)
