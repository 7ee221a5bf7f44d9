"""`qekm login`: a session for the commands of the next minutes, so that the password is typed once."""

from __future__ import annotations

import typer

from qekm_cli.commands import Noun
from qekm_cli.connection import invocation_of
from qekm_cli.passwords import command_password
from qekm_cli.render import done, plain
from qekm_cli.session_file import SessionFile

app = Noun()


@app.command("login")
def log_in(context: typer.Context) -> None:
    """Log in with the command password for some minutes."""
    from qekm.v1 import accounts_pb2 as pb

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
