"""`qekm login`: a session for the commands of the next minutes, so that the password is typed once."""

from __future__ import annotations

from typing import Annotated

import typer

from qekm.errors import BadPassword
from qekm_cli.commands import Noun
from qekm_cli.connection import invocation_of, parse_identity
from qekm_cli.passwords import command_password
from qekm_cli.render import done, plain
from qekm_cli.session_file import SessionFile

app = Noun()


NAMES = {"ekmadmin": "administrator"}  # the original's only user


@app.command("login")
def log_in(
    context: typer.Context,
    ekmuser: Annotated[str | None, typer.Option("-ekmuser", help="As --identity.", metavar="NAME")] = None,
    ekmpassword: Annotated[
        str | None, typer.Option("-ekmpassword", help="Refused: it is asked for.", metavar="PASSWORD")
    ] = None,
) -> None:
    """Log in with the command password for some minutes."""
    from qekm.v1 import accounts_pb2 as pb

    if ekmpassword is not None:
        raise BadPassword(
            "others see a password on a command line: in the list of processes and the shell's history",
            hint="leave it out, and it is asked for; scripts take --command-password-file; change this one",
        )
    if ekmuser is not None:
        name = NAMES.get(ekmuser.lower(), ekmuser)
        invocation_of(context).identity = parse_identity(name)
    told, kept = invocation_of(context), SessionFile.of(context)
    with told.connect(
        told.home,
        told.target,
        kept.identity,
        password=lambda: command_password(told, kept.identity),
        keep=kept.keep,
    ) as client:
        row = plain(client.accounts.GetSession(pb.GetSessionRequest()))
    if row["account"]:
        sentence = f"{row['actor']} is logged in until {row['expire_time'].seconds}"
    else:
        sentence = f"{row['actor']} has no command password yet; set one with: qekm accounts passwd"
    done(context, row, sentence)
