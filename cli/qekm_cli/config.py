"""`qekm config`: the properties of KeyManagerConfig.properties, of a service that runs or is stopped."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from qekm.errors import UnknownProperty
from qekm.properties import PROPERTIES
from qekm.properties.listeners import SSL_PORT, TCP_PORT
from qekm.text import printable
from qekm_cli import property_file
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of, home_of, is_elsewhere
from qekm_cli.outputs import new_file
from qekm_cli.processes import SERVICE, program
from qekm_cli.render import Column, Plain, document, done, listing, plain, wants_json

app = Noun()

REMINDERS = {
    TCP_PORT: "now change the port in the settings of every library that uses this key manager",
    SSL_PORT: "now change it in ClientKeyManagerConfig.properties wherever this key manager is administered "
    "from elsewhere",
}


def _value(row: Plain) -> object:
    pending = row["pending_value"]
    return row["value"] if pending is None else f"{row['value'] or '-'} (after a restart: {pending or '-'})"


LIST = (
    Column("NAME", "name"),
    Column("FROM", "source"),
    Column("WHOSE", "origin"),
    Column("CHANGED", lambda row: "at once" if row["dynamic"] else "by restart"),
    Column("VALUE", _value),
)
Names = Annotated[list[str], typer.Argument(help="Names of properties.", metavar="NAME...")]


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not name.strip() or not sign:
        raise typer.BadParameter(f"{text[:80]!r} is not NAME=VALUE, for example {TCP_PORT}=3801")
    return name.strip(), value.strip()


@app.command("list")
def list_properties(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(help="Only these.", metavar="[NAME...]", show_default=False)
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only those that are not their default.")
    ] = False,
) -> None:
    """List properties; those of the family that mean nothing here are kept and listed as such."""
    rows = read(context, names or [])
    shown = [
        row for row in rows if not changed or row["source"] != "default" or row["pending_value"] is not None
    ]
    listing(context, "properties", shown, LIST)


@app.command("get")
def get_properties(context: typer.Context, names: Names) -> None:
    """Print the values in force, one a line."""
    rows = {row["name"]: row for row in read(context, names)}
    if wants_json(context):
        listing(context, "properties", rows.values(), ())
        return
    for name in names:
        print(printable(rows[_own(name)]["value"]))


@app.command("set")
def set_properties(
    context: typer.Context,
    pairs: Annotated[
        list[Any],
        typer.Argument(help="Properties and their new values.", metavar="NAME=VALUE...", parser=_pair),
    ],
) -> None:
    """Set properties, all or none: in force and in the file, whose version before is kept beside it."""
    change(context, dict(pairs), ())


@app.command("unset")
def unset_properties(context: typer.Context, names: Names) -> None:
    """Have properties their defaults again."""
    change(context, {}, names)


@app.command("refresh")
def refresh_properties(context: typer.Context) -> None:
    """Read the file again, and put in force what needs no restart."""
    from qekm.v1 import configuration_pb2 as pb

    with client_of(context) as client:
        row = plain(client.configuration.RefreshConfiguration(pb.RefreshConfigurationRequest()))
    names = ", ".join(row["changed"])
    _tell(context, row, f"changed: {names}" if names else "nothing has changed")


@app.command("export")
def export_properties(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="File to write.", metavar="FILE")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write what is set to a file of properties."""
    with client_of(context) as client, new_file(file, force=force) as write:
        text, count = property_file.text_of(client)
        write(text.encode("ascii"))
    done(context, {"file": str(file), "properties": count}, f"{count:,} properties written: {file}")


@app.command("import")
def import_properties(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="File of properties.", metavar="FILE")],
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Those that it does not name become their default.")
    ] = False,
) -> None:
    """Set what a file of properties says, all or none."""
    with client_of(context) as client:
        row = property_file.take_file(client, file, rewrite=rewrite)
    names = ", ".join(row["changed"])
    _tell(context, row, f"changed: {names}" if names else "nothing has changed")


def change(context: typer.Context, values: Mapping[str, str], unset: Sequence[str]) -> None:
    """Set some properties, have others their default, and tell what came of it; raises what refuses it."""
    from qekm.v1 import configuration_pb2 as pb

    if is_stopped(context):
        _change_file(context, values, unset)
        return
    with client_of(context) as client:
        request = pb.UpdatePropertiesRequest(set=values, unset=unset)
        row = plain(client.configuration.UpdateProperties(request))
        present = client.configuration.ListProperties(pb.ListPropertiesRequest()).properties
    wins = {each.name for each in present if each.source == "environment"}
    told = {name: f"{name} is {value or 'empty'}" for name, value in values.items()}
    told |= {name: f"{name} is {'its default' if PROPERTIES.find(name) else 'taken out'}" for name in unset}
    lines = [f"{line}{_when(_own(name), row, wins)}" for name, line in told.items()]
    _tell(context, {**row, "changed": list(told)}, "\n".join(lines), at_restart=False)


def _own(name: str) -> str:
    """Return a property's own name; a name that nobody knows is its own."""
    item = PROPERTIES.find(name)
    return name if item is None else item.name


def _when(name: str, row: Plain, wins: set[str]) -> str:
    if name in wins:
        return " in the file; a variable of the service's environment says otherwise, and wins"
    return " after a restart" if name in row["at_restart"] else " now"


def is_stopped(context: typer.Context) -> bool:
    """Tell whether the service is one of this machine's and does not run."""
    return not is_elsewhere(context) and home_of(context).running(SERVICE.name) is None


def _change_file(context: typer.Context, values: Mapping[str, str], unset: Sequence[str]) -> None:
    """Have the service's own program change the file of a service that does not run."""
    home = home_of(context)
    home.require()
    words = [*(f"--unset={name}" for name in unset), "--"]
    words += [f"{name}={value}" for name, value in values.items()]
    command = [program("qekm-server"), "config", "set", "--home", str(home.path), *words]
    output = subprocess.DEVNULL if wants_json(context) else None
    ended = subprocess.run(command, stdout=output, check=False).returncode  # noqa: S603
    if ended:
        raise typer.Exit(ended)
    row = {"changed": [*values, *unset], "at_restart": [*values, *unset], "notes": []}
    _tell(context, row, "in force when the service is started", at_restart=False)


def read(context: typer.Context, names: Iterable[str]) -> list[Plain]:
    """Return properties by name, of a service that does not run as its next start will have them."""
    from qekm.v1 import configuration_pb2 as pb

    if is_stopped(context):
        return _read_file(context, list(names))
    with client_of(context) as client:
        found = client.configuration.ListProperties(pb.ListPropertiesRequest(names=names)).properties
    return [plain(each) for each in found]


def _read_file(context: typer.Context, names: list[str]) -> list[Plain]:
    """Return what `read` does, from the file and the environment; UnknownProperty, BadConfiguration."""
    from qekm.configuration.settings import Settings

    home = home_of(context)
    home.require()
    found = Settings.load(home.config)
    rows = []
    for name in sorted(names or [*found.table, *found.unknown]):
        item = found.table.find(name)
        row: Plain = {"dynamic": False, "pending_value": None}
        if item is not None:
            row["file_value"] = found.in_file.get(item.name)
            told = {"name": item.name, "value": found.text(item.name), "source": found.source(item.name)}
            kind = {"origin": item.origin, "dynamic": item.dynamic, "help": item.help, "unit": item.unit}
            rows.append({**row, **told, **kind, "default_value": item.default})
        elif name in found.unknown:
            told = {"name": name, "value": found.unknown[name], "source": "file", "origin": "unknown"}
            told["file_value"] = told["value"]
            rows.append({**row, **told, "help": "", "unit": "", "default_value": ""})
        else:
            raise UnknownProperty(f"there is no property {name[:200]}", property=name)
    return rows


def _tell(context: typer.Context, row: Plain, sentence: str, *, at_restart: bool = True) -> None:
    """Tell what was changed, when it is in force, and what else is to be done."""
    if wants_json(context):
        document(row)
        return
    print(*map(printable, sentence.splitlines()), sep="\n")
    if at_restart and row["at_restart"]:
        print(f"in force after a restart: {', '.join(row['at_restart'])}")
    for note in row["notes"]:
        print(printable(note))
    for name in row["changed"]:
        if name in REMINDERS:
            print(REMINDERS[name])
