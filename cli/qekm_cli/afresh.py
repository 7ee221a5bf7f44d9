"""The command password asked for at each command, as the original did, and its line when nobody answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from qekm.errors import UnavailableError
from qekm.text import printable
from qekm_cli.connection import client_of, invocation_of
from qekm_cli.family import answers
from qekm_cli.passwords import command_password
from qekm_cli.prompts import ask_password

if TYPE_CHECKING:
    from qekm.client import Client

PASSWORD = "Command password"  # noqa: S105


@contextmanager
def served(context: typer.Context, *, ask_first: bool = True) -> Iterator[Client]:
    """Give a client of whoever knows the command password; if nobody answers the original's line is said."""
    from qekm.v1.accounts_pb2 import GetSessionRequest

    if ask_first:
        ask_command_password(context)
    with client_of(context) as client:
        try:
            session = client.accounts.GetSession(GetSessionRequest())
        except UnavailableError as error:
            raise stopped(error) from None
        if not session.account:
            note(f"{session.actor} has no command password: set one with chgpwdQEKMServer")
        yield client


def stopped(error: UnavailableError) -> UnavailableError:
    """Say the original's line of a server that does not answer, and return what the exit code is from."""
    print(answers.STOPPED, flush=True)
    return error


def prove(context: typer.Context) -> None:
    """Ask for the command password, and tell a wrong one before anything else is asked."""
    with served(context):
        pass


def ask_command_password(context: typer.Context, question: str = PASSWORD) -> str:
    """Return the command password, asked for unless an option names it; empty if there is none yet."""
    told = invocation_of(context)
    if told.command_password_file is None and told.command_password_fd is None:
        told.command_password = ask_password(question, may_be_empty=True)
    return command_password(told, "the caller")


def note(text: str) -> None:
    """Say something that is no answer of the original's: on standard error, where no script reads it."""
    print(printable(text), file=sys.stderr)
