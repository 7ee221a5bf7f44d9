"""listconfig, modconfig, refresh: the properties of KeyManagerConfig.properties."""

from __future__ import annotations

from typing import Annotated

import typer

from qekm.text import printable
from qekm_cli import config
from qekm_cli.commands import Noun
from qekm_cli.render import listing, wants_json

app = Noun()
app.command("refresh")(config.refresh_properties)


@app.command("listconfig")
def list_properties(context: typer.Context) -> None:
    """List the properties in force."""
    rows = config.read(context, ())
    if wants_json(context):
        listing(context, "properties", rows, ())
        return
    for row in rows:
        print(printable(f"{row['name']} = {row['value']}".rstrip()))
        if row["pending_value"] is not None:
            print(printable(f"# after a restart: {row['name']} = {row['pending_value']}"))


@app.command("modconfig")
def modify_property(
    context: typer.Context,
    assignment: Annotated[
        str | None, typer.Argument(help="Name and value at once.", metavar="[NAME=VALUE]")
    ] = None,
    *,
    set_: Annotated[bool, typer.Option("-set", help="Give a property a value.")] = False,
    unset: Annotated[bool, typer.Option("-unset", help="Let a property be its default again.")] = False,
    name: Annotated[str, typer.Option("-property", help="Name of the property.", metavar="NAME")] = "",
    value: Annotated[str | None, typer.Option("-value", help="Its new value.", metavar="VALUE")] = None,
) -> None:
    """Change a property, in force and in the file."""
    if set_ == unset:
        raise typer.BadParameter("give either -set or -unset", ctx=context)
    if bool(name) == bool(assignment):
        raise typer.BadParameter("name the property once: -property NAME, or NAME=VALUE", ctx=context)
    if assignment:
        name, equals, text = assignment.partition("=")
        value = text if equals else value
    if set_ != (value is not None):
        raise typer.BadParameter("-set takes a value, -unset takes none", ctx=context)
    if value is None:
        config.change(context, {}, [name.strip()])
    else:
        config.change(context, {name.strip(): value}, ())
