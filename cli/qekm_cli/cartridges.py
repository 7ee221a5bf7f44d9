"""`qekm cartridges`, and `qekm keys of`: which cartridge was written with which key, when, by which drive."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qekm_cli.commands import Noun, whole_number
from qekm_cli.connection import client_of
from qekm_cli.render import Column, Plain, listing, pages, plain

if TYPE_CHECKING:
    from qekm.client import Client

app = Noun()

WRITTEN = (Column("WRITTEN", "write_time"), Column("DRIVE", "drive_serial"), Column("WWNN", "drive_wwnn"))
KEYS = (Column("ALIAS", "alias"), Column("STATE", "state"), *WRITTEN)
CARTRIDGES = (Column("VOLSER", "volser"), *WRITTEN)
LIST = (Column("VOLSER", "volser"), Column("ALIAS", "alias"), *WRITTEN[:2])

Limit = Annotated[
    int,
    typer.Option(help="At most the newest so many; 0 for all.", metavar="N", parser=whole_number(0, 10**9)),
]


@app.command("list")
def list_cartridges(context: typer.Context, limit: Limit = 100) -> None:
    """List cartridges as they were written, the newest first."""
    with client_of(context) as client:
        found = uses(client, limit=limit)
        listing(context, "cartridges", islice(found, limit or None), LIST)


@app.command("of")
def list_cartridges_of(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Alias or DKi (24 hex digits) of a key.", metavar="ALIAS")],
) -> None:
    """List the cartridges that were written with a key, the newest first."""
    from qekm_cli.keys import get

    with client_of(context) as client:
        listing(context, "cartridges", uses(client, alias=get(client, name).alias), CARTRIDGES)


def list_keys_of(
    context: typer.Context,
    volser: Annotated[str, typer.Argument(help="Volume serial of a cartridge.", metavar="VOLSER")],
) -> None:
    """List the keys that a cartridge was written with, the newest first."""
    from qekm.errors import UnknownKey
    from qekm_cli.keys import get

    states: dict[str, Any] = {}
    with client_of(context) as client:
        rows = list(uses(client, volser=volser))
        for row in rows:
            if row["alias"] not in states:
                states[row["alias"]] = plain(get(client, row["alias"]))["state"]
    if not rows:
        raise UnknownKey(
            f"no cartridge {volser!r} was written with a key of this key manager",
            hint="list the cartridges with: qekm cartridges list",
            volser=volser,
        )
    listing(context, "keys", ({**row, "state": states[row["alias"]]} for row in rows), KEYS)


def uses(client: Client, *, volser: str = "", alias: str = "", limit: int = 0) -> Iterator[Plain]:
    """Yield uses of keys, the newest first: of a cartridge, of a key, or all."""
    from qekm.v1 import keystore_pb2 as pb

    request = pb.ListCartridgesRequest(volser=volser, alias=alias, newest_first=True)
    return map(plain, pages(client.keystore.ListCartridges, request, "cartridges", limit))
