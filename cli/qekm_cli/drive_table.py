"""`qekm drives export` and `import`: the whole registry as a CSV file (qekm/interchange/roster.py)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qekm.errors import BadArgument
from qekm_cli.connection import client_of
from qekm_cli.render import Plain, done, pages, plain

if TYPE_CHECKING:
    from qekm.client import Client

MOST_BYTES = 16 << 20  # of a file; 10,000 drives with all that can be said of them have 3 MB


def export_drives(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="File to write.", metavar="FILE")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write all accepted drives and what is set for them to a CSV file."""
    from qekm_cli.outputs import new_file

    with client_of(context) as client, new_file(file, force=force) as write:
        text, count = table_of(client)
        write(text.encode("ascii"))
    done(context, {"file": str(file), "drives": count}, f"{count:,} drives written: {file}")


def import_drives(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CSV file of drives.", metavar="FILE")],
    merge: Annotated[bool, typer.Option("--merge", help="Keep drives that are not in the file.")] = False,
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Remove drives that are not in the file.")
    ] = False,
) -> None:
    """Take a CSV file of drives in: those that are known are changed, the others added; all or none."""
    if merge == rewrite:
        raise typer.BadParameter("give either --merge or --rewrite", ctx=context)
    with client_of(context) as client:
        row = take_table(client, file, rewrite=rewrite)
    done(context, row, told(row))


def table_of(client: Client) -> tuple[str, int]:
    """Return the registry as the text of a file, and how many drives are in it; raises BadArgument."""
    from qekm.interchange.roster import COLUMNS, Entry, serialize
    from qekm.v1 import drives_pb2 as pb

    request = pb.ListDrivesRequest(state=pb.DRIVE_STATE_ACCEPTED)
    rows = map(plain, pages(client.drives.ListDrives, request, "drives"))
    entries = [Entry(0, **{**{name: row[name] for name in COLUMNS}, **_read(row)}) for row in rows]
    return serialize(entries), len(entries)


def _read(row: Plain) -> Plain:
    """Return the fields that an entry of a list has in another form than a message."""
    return {
        "wwnn": bytes.fromhex(row["wwnn"]),
        "allowed_groups": tuple(row["allowed_groups"]),
        "label_mode": "" if row["label_mode"] == "unspecified" else row["label_mode"],
        **{name: row[name].strip() for name in ("vendor", "product", "firmware")},
    }


def take_table(client: Client, file: Path, *, rewrite: bool) -> Plain:
    """Take a file of drives in and return what came of it; raises BadArgument that names each bad line."""
    from qekm.interchange.roster import parse
    from qekm.v1 import drives_pb2 as pb

    with file.open("rb") as source:
        content = source.read(MOST_BYTES + 1)
    try:
        if len(content) > MOST_BYTES:
            raise BadArgument(f"more than {MOST_BYTES:,} bytes: this is no list of drives")
        entries = parse(content.decode("utf-8"))
    except UnicodeDecodeError:
        raise BadArgument(f"{file}: not a text file in UTF-8") from None
    except BadArgument as error:
        error.message = "\n".join(f"{file}: {line}" for line in error.message.splitlines())
        raise
    request = pb.ImportDrivesRequest(drives=[pb.Drive(**each.fields()) for each in entries], rewrite=rewrite)
    return plain(client.drives.ImportDrives(request))


def told(row: Plain) -> str:
    """Return what came of an import as a sentence."""
    return f"drives: {row['created']:,} added, {row['updated']:,} changed, {row['deleted']:,} removed"
