"""The verbs of `qekm keys` that end keys: deactivate, compromise, destroy, keep."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from qekm_cli.connection import client_of
from qekm_cli.render import Plain, cell, done, plain

Aliases = Annotated[
    list[str], typer.Argument(help="Aliases; all keys are changed or none.", metavar="ALIAS...")
]


def deactivate_keys(context: typer.Context, aliases: Aliases) -> None:
    """Write nothing new with keys any more; they serve reads."""
    from qekm.v1 import keystore_pb2 as pb

    with client_of(context) as client:
        response = client.keystore.DeactivateKeys(pb.DeactivateKeysRequest(aliases=aliases))
    _done(context, response, "nothing new is written with {}")


def compromise_keys(
    context: typer.Context,
    aliases: Aliases,
    reason: Annotated[str, typer.Option(help="Why, for the audit trail.", metavar="TEXT")] = "",
) -> None:
    """Mark keys as known or feared to be disclosed; they serve reads, and each is recorded as such."""
    from qekm.v1 import keystore_pb2 as pb

    with client_of(context) as client:
        response = client.keystore.CompromiseKeys(pb.CompromiseKeysRequest(aliases=aliases, reason=reason))
    _done(context, response, "{} marked as compromised")


def destroy_keys(
    context: typer.Context,
    aliases: Aliases,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask how many keys are meant.")] = False,
) -> None:
    """Have keys destroyed after the waiting time: what was written with them is lost. Takes two people."""
    from qekm.v1 import keystore_pb2 as pb

    if not yes:
        _confirm(len({alias.lower() for alias in aliases}))
    with client_of(context) as client:
        response = client.keystore.DestroyKeys(pb.DestroyKeysRequest(aliases=aliases))
    row = plain(response)
    when, backups = cell(row["keys"][0]["destroy_time"]), row["backups"]
    held = f"still held by backups: {', '.join(backups)}" if backups else "no backup holds any of them"
    told = f"{{}} to be destroyed at {when}; to call it off before: qekm keys keep\n{held}"
    _done(context, response, told)


def keep_keys(context: typer.Context, aliases: Aliases) -> None:
    """Call a destruction off that waits."""
    from qekm.v1 import keystore_pb2 as pb

    with client_of(context) as client:
        response = client.keystore.KeepKeys(pb.KeepKeysRequest(aliases=aliases))
    _done(context, response, "{} kept")


def _confirm(count: int) -> None:
    """Have a person say how many keys go; BadArgument for another number, or where nobody can be asked."""
    from qekm.errors import BadArgument

    hint = "what was written with a key that is destroyed cannot be read again"
    if not (sys.stdin and sys.stdin.isatty()):
        raise BadArgument("nobody can be asked whether the keys are to be destroyed: give --yes", hint=hint)
    print(f"Nothing that was written with {_keys(count)} can be read again.", file=sys.stderr)
    if input("Type how many keys are to be destroyed: ").strip() != str(count):
        raise BadArgument(f"this was not confirmed: {_keys(count)} named", hint=hint)


def _done(context: typer.Context, response: Any, sentence: str) -> None:
    row: Plain = plain(response)
    done(context, row, sentence.format(_keys(len(row["keys"]))))


def _keys(count: int) -> str:
    return "1 key" if count == 1 else f"{count:,} keys"
