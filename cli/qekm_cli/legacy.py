"""The family's own verbs, in the original's form to the letter."""

from __future__ import annotations

from typing import Annotated

import typer

from qekm.interchange.roster import normal_serial
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import listing, pages, plain, wants_json

app = Noun()


@app.command("listdrives")
def listdrives(
    context: typer.Context,
    drivename: Annotated[
        str | None,
        typer.Option("-drivename", help="Only this drive.", metavar="SERIAL", parser=normal_serial),
    ] = None,
) -> None:
    """List drives as the original does."""
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
    print(f"Drive entries: {len(drives)}")
    for drive in drives:
        print(f"SerialNumber = {drive.serial}")
