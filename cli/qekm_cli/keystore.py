"""`qekm keystore`: what opens the keystore, and the key that all data keys are sealed under."""

from __future__ import annotations

from typing import Any

import typer

from qekm_cli import proofs, slots
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.passwords import NewDescriptorOption, NewFileOption, read_new_password
from qekm_cli.proofs import Proving, read_proof
from qekm_cli.render import Column, Plain, done, plain, progress, record

app = Noun()
app.add_typer(slots.app, name="slots", help="The ways of opening the keystore.")

ROTATE_SECONDS = 86_400  # deadline of a look at a rotation; the rotation itself has none


_PROTECTIONS: dict[str, str] = {
    "none": "nothing: keys are on one disk only, DEGRADED",
    "backup": "a verified backup",
    "peer": "the disk of another server",
    "peer_and_backup": "the disk of another server, and a verified backup",
}


def _protection(row: Plain) -> str:
    return _PROTECTIONS.get(row["protection"], str(row["protection"]))


def _counts(row: Plain) -> str:
    return ", ".join(f"{each['count']:,} {each['state']}" for each in row["counts"])


STATUS = (
    Column("Estate", "estate_id"),
    Column("Epoch", "epoch"),
    Column("Keys", _counts),
    Column("Protected by", _protection),
    Column("Started with", "slot"),
    Column("Two people", "two_person"),
    Column("Read only", "read_only"),
    Column("Record key", lambda row: f"version {row['record_version']}"),
    Column("Still under an older one", lambda row: f"{row['rotating_count']:,} keys"),
    Column("Last drill", "drill_time"),
)


@app.command("status")
def show_status(context: typer.Context) -> None:
    """Show how the keystore is protected, opened and sealed."""
    from qekm.v1 import keystore_pb2 as pb

    with client_of(context) as client:
        record(context, plain(client.keystore.GetKeystore(pb.GetKeystoreRequest())), STATUS)


@app.command("unlock", kind=Proving)
def unlock_keystore(context: typer.Context) -> None:
    """Open the keystore for ten minutes, for what one may do only then."""
    with client_of(context) as client:
        row = plain(proofs.unlock(context, client))
    done(context, row, f"the keystore is open until {row['expire_time'].seconds}, with slot {row['slot']}")


@app.command("lock")
def lock_keystore(context: typer.Context) -> None:
    """Close the keystore again before the ten minutes are over."""
    from qekm.v1 import keystore_pb2 as pb

    with client_of(context) as client:
        client.keystore.LockKeystore(pb.LockKeystoreRequest())
    done(context, {"locked": True}, "the keystore is locked")


@app.command("passwd", kind=Proving)
def set_password(
    context: typer.Context,
    new_password_file: NewFileOption = None,
    new_password_fd: NewDescriptorOption = None,
) -> None:
    """Set the keystore's password anew; with another slot if it was forgotten."""
    from qekm.v1 import slots_pb2 as pb

    proof = read_proof(context)
    password = read_new_password(new_password_file, new_password_fd).encode()
    with client_of(context) as client:
        request = pb.UpdatePasswordRequest(proof=proof, password=password)
        row = plain(client.slots.UpdatePassword(request).slot)
    done(context, row, f"the password of slot {row['name']} is set anew; the old one opens nothing any more")


@app.command("rotate", kind=Proving)
def rotate_keystore(context: typer.Context) -> None:
    """Make a new record key and seal every key anew under it.

    To stop watching (Ctrl-C) does not stop the rotation; run it again to watch on.
    """
    from qekm.v1 import keystore_pb2 as pb

    last: Any = pb.RotateKeystoreResponse()
    request = pb.RotateKeystoreRequest(proof=read_proof(context))
    with client_of(context) as client, progress("sealing keys anew", 0) as bar:
        for last in client.keystore.RotateKeystore(request, timeout=ROTATE_SECONDS):
            bar.length = last.total
            bar.update(last.done - bar.pos)
    row = plain(last)
    done(context, row, f"{row['done']:,} keys are sealed under version {row['version']} of the record key")
