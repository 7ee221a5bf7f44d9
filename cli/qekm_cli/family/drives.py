"""adddrive, moddrive, deldrive, listdrives: the drive table."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qekm.errors import BadArgument, UnknownGroup, UnknownKey
from qekm.interchange.roster import normal_serial
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.family import answers
from qekm_cli.render import Column, done, listing, pages, plain, wants_json

if TYPE_CHECKING:
    from qekm.client import Client

app = Noun()

_NAME = typer.Option(
    "-drivename",
    help="Serial number; ten digits get two zeros before them.",
    metavar="SERIAL",
    parser=normal_serial,
)
Name = Annotated[str, _NAME]
Rec1 = Annotated[str | None, typer.Option("-rec1", help="Not for LTO drives.", metavar="ALIAS")]
Rec2 = Annotated[str | None, typer.Option("-rec2", help="Not for LTO drives.", metavar="ALIAS")]
Symrec = Annotated[
    str | None,
    typer.Option(
        "-symrec", help='Key, or group of its keys; "" for the default group.', metavar="ALIAS|GROUP"
    ),
]
DETAILS = (
    Column("WorldWideName", "wwnn"),
    Column("Vendor", lambda row: row["vendor"].strip()),
    Column("Product", lambda row: row["product"].strip()),
    Column("KeyAlias", "alias"),
    Column("KeyGroup", lambda row: row["group"] or "the default group"),
    Column("LastSeen", "last_seen_time"),
)


@app.command("adddrive")
def add_drive(
    context: typer.Context, drivename: Name, rec1: Rec1 = None, rec2: Rec2 = None, symrec: Symrec = None
) -> None:
    """Add a drive to the drive table."""
    from qekm_cli.enrolling import enrol

    _refuse_certificates(rec1, rec2)
    with client_of(context) as client:
        row = enrol(client, {"serial": drivename, **(_keys_of(client, symrec) if symrec else {})})
    done(context, row, f"drive {row['serial']} added")


@app.command("moddrive")
def modify_drive(
    context: typer.Context, drivename: Name, rec1: Rec1 = None, rec2: Rec2 = None, symrec: Symrec = None
) -> None:
    """Change which keys a drive gets."""
    from google.protobuf.field_mask_pb2 import FieldMask

    from qekm.v1 import drives_pb2 as pb

    _refuse_certificates(rec1, rec2)
    if symrec is None:
        raise typer.BadParameter("nothing to change: give -symrec", ctx=context)
    mask = FieldMask(paths=["group", "alias"])
    with client_of(context) as client:
        drive = pb.Drive(serial=drivename, **_keys_of(client, symrec))
        response = client.drives.UpdateDrive(pb.UpdateDriveRequest(drive=drive, update_mask=mask))
    done(context, plain(response.drive), f"drive {drivename} changed")


@app.command("deldrive")
def delete_drive(context: typer.Context, drivename: Name) -> None:
    """Remove a drive from the drive table."""
    from qekm.v1 import drives_pb2 as pb

    with client_of(context) as client:
        client.drives.DeleteDrive(pb.DeleteDriveRequest(serial=drivename))
    done(context, {"serial": drivename}, f"drive {drivename} removed")


@app.command("listdrives")
def list_drives(
    context: typer.Context,
    drivename: Annotated[str | None, _NAME] = None,
    verbose: Annotated[
        bool, typer.Option("-verbose", "-v", help="Also what is known of each and which keys it gets.")
    ] = False,
) -> None:
    """List the drive table."""
    from qekm.v1 import drives_pb2 as pb

    with client_of(context) as client:
        if drivename:
            drives = [client.drives.GetDrive(pb.GetDriveRequest(serial=drivename)).drive]
        else:
            request = pb.ListDrivesRequest(state=pb.DRIVE_STATE_ACCEPTED)
            drives = list(pages(client.drives.ListDrives, request, "drives"))
    if wants_json(context):
        listing(context, "drives", map(plain, drives), ())
        return
    head, *lines = answers.drives(drive.serial for drive in drives)
    print(head)
    for line, drive in zip(lines, drives, strict=True):
        print(line)
        for column in DETAILS if verbose else ():
            print(f"  {column.title} = {column.of(plain(drive))}")


def _refuse_certificates(rec1: str | None, rec2: str | None) -> None:
    """Refuse what only drives of another family have. BadArgument."""
    if rec1 is not None or rec2 is not None:
        raise BadArgument(
            "-rec1 and -rec2 name certificates for 3592 drives, which keep keys on tape; LTO drives do not",
            hint="name a key or a key group: -symrec",
            field="rec1" if rec1 is not None else "rec2",
        )


def _keys_of(client: Client, symrec: str) -> dict[str, Any]:
    """Return the fields of a drive that a key's alias or a group's name means. UnknownKey, BadArgument."""
    from qekm.v1 import groups_pb2, keystore_pb2

    if not symrec:
        return {"group": "", "alias": ""}
    found: dict[str, Any] = {}
    with suppress(UnknownGroup, BadArgument):
        found["group"] = client.groups.GetGroup(groups_pb2.GetGroupRequest(name=symrec)).group.name
    with suppress(UnknownKey, BadArgument):
        found["alias"] = client.keystore.GetKey(keystore_pb2.GetKeyRequest(alias=symrec)).key.alias
    if not found:
        hint = "list them with: qekm groups list, qekm keys list"
        raise UnknownKey(f"neither a key nor a group is called {symrec!r}", hint=hint, alias=symrec)
    if len(found) > 1:
        hint = "say which: qekm drives modify, with --alias or --group"
        raise BadArgument(f"a key and a group are called {symrec!r}", hint=hint, field="symrec")
    return found
