"""listconfig, modconfig, refresh: the properties of KeyManagerConfig.properties."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import Plain, done, listing, plain, wants_json
from qekm_cli.text import printable

if TYPE_CHECKING:
    from qekm.v1.configuration_pb2 import UpdatePropertiesRequest

app = Noun()


@app.command("listconfig")
def list_properties(context: typer.Context) -> None:
    """List the properties in force."""
    from qekm.v1 import configuration_pb2 as pb

    with client_of(context) as client:
        found = client.configuration.ListProperties(pb.ListPropertiesRequest()).properties
    rows = [plain(each) for each in found]
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
    with client_of(context) as client:
        row = plain(client.configuration.UpdateProperties(_request(name.strip(), value)))
    what = "its default" if value is None else repr(value)
    verb, end = ("will be", " after a restart") if row["at_restart"] else ("is", " now")
    _tell(context, row, f"{name.strip()} {verb} {what}{end}")


def _request(name: str, value: str | None) -> UpdatePropertiesRequest:
    from qekm.v1 import configuration_pb2 as pb

    if value is None:
        return pb.UpdatePropertiesRequest(unset=[name])
    return pb.UpdatePropertiesRequest(set={name: value})


@app.command("refresh")
def refresh_properties(context: typer.Context) -> None:
    """Read the file of properties again."""
    from qekm.v1 import configuration_pb2 as pb

    with client_of(context) as client:
        row = plain(client.configuration.RefreshConfiguration(pb.RefreshConfigurationRequest()))
    changed = ", ".join(row["changed"])
    sentence = f"changed: {changed}" if changed else "nothing has changed"
    if row["at_restart"]:
        sentence += f"; in force after a restart: {', '.join(row['at_restart'])}"
    _tell(context, row, sentence)


def _tell(context: typer.Context, row: Plain, sentence: str) -> None:
    done(context, row, "\n".join(printable(line) for line in (sentence, *row["notes"])))
