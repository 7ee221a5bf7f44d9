"""`qekm drives`: the drive registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from qekm_cli import authorities, blocked, drive_table
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.drive_fields import (
    SERIAL,
    Alias,
    Allowed,
    Confirm,
    Firmware,
    Group,
    Label,
    Product,
    Serial,
    Vendor,
    Wwnn,
    given,
)
from qekm_cli.render import Column, done, listing, pages, plain, record

app = Noun()
app.add_typer(authorities.app, name="authorities", help="Certificate authorities that may name drives.")
app.add_typer(blocked.app, name="blocked", help="Public keys that are refused with any serial.")
app.command("export")(drive_table.export_drives)
app.command("import")(drive_table.import_drives)

LIST = (
    Column("SERIAL", "serial"),
    Column("STATE", "state"),
    Column("PRODUCT", lambda row: row["product"].strip()),
    Column("WWNN", "wwnn"),
    Column("LAST SEEN", "last_seen_time"),
)
SHOW = (
    Column("Serial", "serial"),
    Column("State", "state"),
    Column("WWNN", "wwnn"),
    Column("Vendor", lambda row: row["vendor"].strip()),
    Column("Product", lambda row: row["product"].strip()),
    Column("Firmware", lambda row: row["firmware"].strip()),
    Column("Library", "library_serial"),
    Column("Public key", "spki_sha256"),
    Column("Group of new keys", lambda row: row["group"] or "the default group"),
    Column("Fixed key", "alias"),
    Column("Allowed groups", lambda row: row["allowed_groups"] or "all"),
    Column("Key confirmation", lambda row: row["confirm"] is not False),  # absent means yes
    Column("Label", "label_mode"),
    Column("Entered", "create_time"),
    Column("Last seen", "last_seen_time"),
)


@app.command("list")
def list_drives(
    context: typer.Context,
    state: Annotated[
        Literal["accepted", "pending"] | None, typer.Option(help="Only drives in this state.")
    ] = None,
) -> None:
    """List accepted and pending drives by serial."""
    from qekm.v1 import drives_pb2 as pb

    number = pb.DriveState.Value(f"DRIVE_STATE_{state.upper() if state else 'UNSPECIFIED'}")
    with client_of(context) as client:
        drives = pages(client.drives.ListDrives, pb.ListDrivesRequest(state=number), "drives")
        listing(context, "drives", map(plain, drives), LIST)


@app.command("show")
def show_drive(context: typer.Context, serial: Serial) -> None:
    """Show one drive."""
    from qekm.v1 import drives_pb2 as pb

    with client_of(context) as client:
        record(context, plain(client.drives.GetDrive(pb.GetDriveRequest(serial=serial)).drive), SHOW)


@app.command("add")
def add_drives(  # noqa: PLR0913 - each is an option
    context: typer.Context,
    serial: Annotated[str | None, SERIAL] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="Add a file's drives: serial[,wwnn,vendor,product,group,alias].", metavar="FILE"),
    ] = None,
    *,
    wwnn: Wwnn = None,
    vendor: Vendor = None,
    product: Product = None,
    firmware: Firmware = None,
    group: Group = None,
    alias: Alias = None,
    allow_group: Allowed = None,
    confirm: Confirm = None,
    label: Label = None,
) -> None:
    """Add a drive, or the drives of a CSV file, before they first ask."""
    from qekm_cli.enrolling import enrol, enrol_file

    fields = given(
        label,
        wwnn=wwnn,
        vendor=vendor,
        product=product,
        firmware=firmware,
        group=group,
        alias=alias,
        allowed_groups=allow_group,
        confirm=confirm,
    )
    if (serial is None) == (csv is None):
        raise typer.BadParameter("give either a serial or --csv FILE", ctx=context)
    if csv is not None and fields:
        raise typer.BadParameter("with --csv everything comes from the file", ctx=context)
    with client_of(context) as client:
        if csv is not None:
            added = enrol_file(client, csv)
            done(context, {"drives": added}, f"{len(added)} drives added")
        else:
            drive = enrol(client, {**fields, "serial": serial})
            done(context, drive, f"drive {drive['serial']} added")


@app.command("accept")
def accept_drive(context: typer.Context, serial: Serial) -> None:
    """Move a pending drive into the registry."""
    from qekm.v1 import drives_pb2 as pb

    with client_of(context) as client:
        drive = plain(client.drives.AcceptDrive(pb.AcceptDriveRequest(serial=serial)).drive)
    done(context, drive, f"drive {serial} accepted")


@app.command("reject")
def reject_drive(context: typer.Context, serial: Serial) -> None:
    """Remove a pending drive; it may ask again."""
    from qekm.v1 import drives_pb2 as pb

    with client_of(context) as client:
        client.drives.RejectDrive(pb.RejectDriveRequest(serial=serial))
    done(context, {"serial": serial}, f"drive {serial} rejected")


@app.command("modify")
def modify_drive(  # noqa: PLR0913 - each is an option
    context: typer.Context,
    serial: Serial,
    *,
    wwnn: Wwnn = None,
    vendor: Vendor = None,
    product: Product = None,
    firmware: Firmware = None,
    group: Group = None,
    alias: Alias = None,
    allow_group: Allowed = None,
    allow_all_groups: Annotated[
        bool, typer.Option("--allow-all-groups", help="It may get keys of all groups.")
    ] = False,
    confirm: Confirm = None,
    label: Label = None,
    unpin: Annotated[
        bool, typer.Option("--unpin", help="Forget its public key, so that it is pinned anew.")
    ] = False,
) -> None:
    """Change what is known of a drive or which keys it gets."""
    from google.protobuf.field_mask_pb2 import FieldMask

    from qekm.v1 import drives_pb2 as pb

    if allow_group and allow_all_groups:
        raise typer.BadParameter("give either --allow-group or --allow-all-groups", ctx=context)
    fields = given(
        label,
        wwnn=wwnn,
        vendor=vendor,
        product=product,
        firmware=firmware,
        group=group,
        alias=alias,
        allowed_groups=[] if allow_all_groups else allow_group,
        confirm=confirm,
        spki_sha256=b"" if unpin else None,
    )
    if not fields:
        raise typer.BadParameter("nothing to change: give at least one option", ctx=context)
    drive, mask = pb.Drive(**{**fields, "serial": serial}), FieldMask(paths=list(fields))
    with client_of(context) as client:
        response = client.drives.UpdateDrive(pb.UpdateDriveRequest(drive=drive, update_mask=mask))
    done(context, plain(response.drive), f"drive {serial} changed")


@app.command("remove")
def remove_drive(
    context: typer.Context,
    serial: Serial,
    block: Annotated[
        bool, typer.Option("--block", help="Also refuse its public key from now on, with any serial.")
    ] = False,
) -> None:
    """Remove a drive from the registry."""
    from qekm.v1 import drives_pb2 as pb

    with client_of(context) as client:
        client.drives.DeleteDrive(pb.DeleteDriveRequest(serial=serial, block=block))
    end = " and its public key blocked" if block else ""
    done(context, {"serial": serial, "blocked": block}, f"drive {serial} removed{end}")
