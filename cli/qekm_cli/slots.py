"""`qekm keystore slots`: the ways of opening the keystore, each of which opens it alone."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from qekm_cli import new_slots
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.proofs import Proving, read_proof
from qekm_cli.render import Column, done, listing, plain

app = Noun()
app.add_typer(new_slots.app, name="add", help="Add a way of opening the keystore.")

LIST = (
    Column("NAME", "name"),
    Column("KIND", "kind"),
    Column("MADE", "create_time"),
)
NameArgument = Annotated[str, typer.Argument(help="The slot's name.", metavar="NAME")]


@app.command("list")
def list_slots(context: typer.Context) -> None:
    """List the slots by name."""
    from qekm.v1 import slots_pb2 as pb

    with client_of(context) as client:
        listing(context, "slots", map(plain, client.slots.ListSlots(pb.ListSlotsRequest()).slots), LIST)


@app.command("remove", kind=Proving)
def remove_slot(context: typer.Context, name: NameArgument) -> None:
    """Remove a way of opening the keystore, which takes another one; the last one stays."""
    from qekm.v1 import keystore_pb2
    from qekm.v1 import slots_pb2 as pb

    request = pb.DeleteSlotRequest(name=name, proof=read_proof(context))
    with client_of(context) as client:
        client.slots.DeleteSlot(request)
        left = {slot.kind for slot in client.slots.ListSlots(pb.ListSlotsRequest()).slots}
        needed = client.keystore.GetKeystore(keystore_pb2.GetKeystoreRequest()).slot
    done(context, {"name": name}, f"slot {name} removed")
    if needed not in left:
        what = f"the service starts with a slot of kind {needed} (keystore.slot), and none is left"
        print(f"qekm: change the property before the next start: {what}", file=sys.stderr)


@app.command("test", kind=Proving)
def test_slot(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="The slot's name; any if left out.", metavar="[NAME]", show_default=False)
    ] = "",
) -> None:
    """Find out whether a slot opens, and change nothing."""
    from qekm.v1 import slots_pb2 as pb

    request = pb.TestSlotRequest(name=name, proof=read_proof(context))
    with client_of(context) as client:
        row = plain(client.slots.TestSlot(request).slot)
    done(context, row, f"slot {row['name']} opens the keystore")
