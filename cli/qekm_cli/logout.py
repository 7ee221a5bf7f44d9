"""`qekm logout`: the end of what `qekm login` began."""

from __future__ import annotations

import contextlib

import typer

from qekm.errors import IdentityError, UnavailableError
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import done
from qekm_cli.session_file import SessionFile

app = Noun()


@app.command("logout")
def log_out(context: typer.Context) -> None:
    """End the session that qekm login began."""
    from qekm.v1 import accounts_pb2 as pb

    kept = SessionFile.of(context)
    session = kept.read()
    if session is not None:
        # A service that is away has forgotten it when it comes back.
        with (
            contextlib.suppress(IdentityError, UnavailableError),
            client_of(context, asking=False) as client,
        ):
            client.accounts.Logout(pb.LogoutRequest())
    kept.forget()
    sentence = f"{kept.identity} is logged out" if session else f"{kept.identity} was not logged in"
    done(context, {"identity": kept.identity, "ended": session is not None}, sentence)
