"""`qekm keys`: data keys, never their material."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qekm_cli import cartridges, endings, exporting, importing
from qekm_cli.commands import Noun, whole_number
from qekm_cli.connection import client_of
from qekm_cli.javastores import Reading, Storing
from qekm_cli.proofs import Proving, begun, opened
from qekm_cli.render import Column, Plain, done, listing, pages, plain, progress, record, table, wants_json

if TYPE_CHECKING:
    from qekm.client import Client

app = Noun()
app.command("of")(cartridges.list_keys_of)
app.command("deactivate")(endings.deactivate_keys)
app.command("compromise")(endings.compromise_keys)
app.command("destroy")(endings.destroy_keys)
app.command("keep")(endings.keep_keys)
app.command("export", kind=Storing)(exporting.export_keys)
app.command("import", kind=Reading)(importing.import_keys)

MOST = 100_000  # keys in one GenerateKeys call, as the proto says
GENERATE_SECONDS = 3600  # deadline of that call: the slowest disk we know writes 100,000 keys in minutes
DKI_DIGITS = 24

State = Literal[
    "generated",
    "ready",
    "assigned",
    "active",
    "suspect",
    "quarantined",
    "process-only",
    "compromised",
    "destroy-pending",
    "destroyed",
]
LIST = (
    Column("ALIAS", "alias"),
    Column("STATE", "state"),
    Column("GROUP", "group"),
    Column("VOLSER", "volser"),
    Column("ASSIGNED", "assign_time"),
)
SHOW = (
    Column("Alias", "alias"),
    Column("DKi", "dki"),
    Column("State", "state"),
    Column("Group", "group"),
    Column("Algorithm", "algorithm"),
    Column("Check value", "check_value"),
    Column("Made", "create_time"),
    Column("Last given out", "assign_time"),
    Column("To drive", "drive_serial"),
    Column("For cartridge", "volser"),
    Column("Destroyed", "destroy_time"),
)
CARTRIDGES = (
    Column("VOLSER", "volser"),
    Column("DRIVE", "drive_serial"),
    Column("WWNN", "drive_wwnn"),
    Column("WRITTEN", "write_time"),
)


@app.command("list")
def list_keys(
    context: typer.Context,
    group: Annotated[str, typer.Option(help="Only keys of this group.", metavar="NAME")] = "",
    state: Annotated[State | None, typer.Option(help="Only keys in this state.")] = None,
) -> None:
    """List keys by alias."""
    from qekm.v1 import keystore_pb2 as pb

    number = (
        pb.KeyState.Value(f"KEY_STATE_{state.upper().replace('-', '_')}")
        if state
        else pb.KEY_STATE_UNSPECIFIED
    )
    request = pb.ListKeysRequest(group=group, state=number)
    with client_of(context) as client:
        listing(context, "keys", map(plain, pages(client.keystore.ListKeys, request, "keys")), LIST)


@app.command("show")
def show_key(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="Alias, DKi (24 hex digits), or volser of a cartridge.", metavar="NAME")
    ],
) -> None:
    """Show a key, or every key that a cartridge was written with."""
    with client_of(context) as client:
        found = [
            {**key, "cartridges": list(_cartridges(client, alias=key["alias"]))}
            for key in _find(client, name)
        ]
    if wants_json(context):
        listing(context, "keys", found, ())
        return
    for place, key in enumerate(found):
        if place:
            print()
        record(context, key, SHOW)
        if key["cartridges"]:
            print("", *table(CARTRIDGES, key["cartridges"]), sep="\n")


def _find(client: Client, name: str) -> list[Plain]:
    """Return the keys that a name can mean; an alias and a volser may look alike, so both are asked for."""
    from qekm.errors import UnknownKey

    aliases = {row["alias"]: row for row in _cartridges(client, volser=name)} if len(name) <= 32 else {}
    keys = {key.alias: plain(key) for key in (_get(client, name), *(_get(client, a) for a in aliases)) if key}
    if not keys:
        raise UnknownKey(f"no key has the alias or DKi {name!r}, and no cartridge {name!r} was written")
    return list(keys.values())


def _get(client: Client, name: str) -> Any:
    """Return the key of an alias or a DKi, or None; a name that cannot be an alias is none either."""
    from qekm.errors import BadArgument, UnknownKey

    try:
        return get(client, name)
    except (UnknownKey, BadArgument):
        return None


def get(client: Client, name: str) -> Any:
    """Return the key of an alias or a DKi; raises UnknownKey, BadArgument."""
    from qekm.v1 import keystore_pb2 as pb

    request = pb.GetKeyRequest(dki=_dki(name)) if _dki(name) else pb.GetKeyRequest(alias=name)
    return client.keystore.GetKey(request).key


def _dki(name: str) -> bytes:
    """Return the 12 bytes that 24 hex digits name, else nothing; no alias has 24 characters."""
    try:
        return bytes.fromhex(name) if len(name) == DKI_DIGITS else b""
    except ValueError:
        return b""


def _cartridges(client: Client, volser: str = "", alias: str = "") -> Iterator[Plain]:
    from qekm.v1 import keystore_pb2 as pb

    request = pb.ListCartridgesRequest(volser=volser, alias=alias)
    return map(plain, pages(client.keystore.ListCartridges, request, "cartridges"))


@app.command("generate", kind=Proving)
def generate_keys(
    context: typer.Context,
    count: Annotated[
        int, typer.Argument(help="How many keys.", metavar="COUNT", parser=whole_number(1, MOST))
    ],
    group: Annotated[str, typer.Option(help="Group they join, if not the default.", metavar="NAME")] = "",
    request_id: Annotated[
        str,
        typer.Option(
            help="UUID of this request: a repetition with it makes no second batch.", metavar="UUID"
        ),
    ] = "",
) -> None:
    """Make new AES-256 keys; the keystore is opened first if it is locked."""
    from uuid import uuid4

    from qekm.errors import QekmError
    from qekm.v1 import keystore_pb2 as pb

    request = pb.GenerateKeysRequest(count=count, group=group, request_id=request_id or str(uuid4()))
    last = pb.GenerateKeysResponse(total=count)
    try:
        with client_of(context) as client:
            call = client.keystore.GenerateKeys
            answers = opened(context, client, lambda: begun(call(request, timeout=GENERATE_SECONDS)))
            with progress("making keys", count) as bar:
                for answer in answers:
                    bar.update(answer.done - last.done)
                    last = answer
    except QekmError as error:
        if last.done:
            error.advice = (
                f"to ask again without making a second batch: add --request-id {request.request_id}"
            )
        raise
    row = plain(last)
    done(context, row, f"made {row['done']} keys: {row['first_alias']} to {row['last_alias']}")
