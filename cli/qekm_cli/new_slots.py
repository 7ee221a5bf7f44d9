"""`qekm keystore slots add`: a new way of opening the keystore, proved with one that is there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from qekm.errors import UnavailableError
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.passwords import NewDescriptorOption, NewFileOption, read_new_password
from qekm_cli.proofs import KEY_LENGTH, Proving, read_pin, read_proof
from qekm_cli.render import Plain, done, plain, wants_json
from qekm_cli.shares import SPLIT, DirectoryOption, Split, check_place, hand_out, parse_split

app = Noun()

NameOption = Annotated[str, typer.Option(help="The slot's name, if not that of its kind.", metavar="NAME")]


@app.command("password", kind=Proving)
def add_password(
    context: typer.Context,
    name: NameOption = "",
    new_password_file: NewFileOption = None,
    new_password_fd: NewDescriptorOption = None,
) -> None:
    """Add a password."""
    password = read_new_password(new_password_file, new_password_fd).encode()
    row = plain(_create(context, name=name, password=password).slot)
    done(context, row, f"slot {row['name']} added: the password opens the keystore")


@app.command("key-file", kind=Proving)
def add_key_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The key file to make; it must not exist.", metavar="FILE")],
    name: NameOption = "",
) -> None:
    """Make a key file, which opens the keystore where nobody is."""
    from qekm.durable import create

    key = os.urandom(KEY_LENGTH)
    create(file, key)  # first: what opens a slot is there before the slot is
    try:
        row = plain(_create(context, name=name, key_file=key).slot)
    except UnavailableError as error:  # nobody knows whether the slot was made
        error.advice = f"{file} was kept; see if it opens a slot: qekm keystore slots test --key-file {file}"
        raise
    except BaseException:
        file.unlink()
        raise
    path = str(file.absolute())
    done(context, row | {"key_file": path}, f"slot {row['name']} added: {path} opens the keystore")


@app.command("shares", kind=Proving)
def add_shares(
    context: typer.Context,
    name: NameOption = "",
    split: Annotated[
        Split,
        typer.Option(
            help="How many shares open the slot, and how many there are.", metavar="M/N", parser=parse_split
        ),
    ] = SPLIT,
    shares_dir: DirectoryOption = None,
) -> None:
    """Make recovery shares, some of which together open the keystore."""
    from qekm.v1.slots_pb2 import NewShares

    check_place(shares_dir, split.count, shown=not wants_json(context))
    response = _create(context, name=name, shares=NewShares(threshold=split.needed, count=split.count))
    row: Plain = plain(response.slot)
    files = hand_out(list(response.mnemonics), split.needed, shares_dir)
    told = f": {', '.join(files)}" if files else ""
    done(context, row | {"shares": files}, f"slot {row['name']} added{told}")


@app.command("pkcs11", kind=Proving)
def add_token(
    context: typer.Context,
    new_pin_file: Annotated[Path, typer.Option(help="File with the token's PIN.", metavar="FILE")],
    name: NameOption = "",
) -> None:
    """Add a key of the PKCS#11 token that the service's settings name; it is made if it is not there."""
    row = plain(_create(context, name=name, pin=read_pin(new_pin_file)).slot)
    done(context, row, f"slot {row['name']} added: the token opens the keystore")


def _create(context: typer.Context, **fields: Any) -> Any:
    """Have a slot made of what was given."""
    from qekm.v1.slots_pb2 import CreateSlotRequest

    request = CreateSlotRequest(proof=read_proof(context), **fields)
    with client_of(context) as client:
        return client.slots.CreateSlot(request)
