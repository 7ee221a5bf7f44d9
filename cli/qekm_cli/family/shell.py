"""help, exit: what the original's prompt took. Here the shell is the prompt."""

from __future__ import annotations

from typing import Any

import typer

from qekm_cli.commands import Noun
from qekm_cli.family import VERBS
from qekm_cli.render import Column, listing, table, wants_json

app = Noun()

COLUMNS = (Column("VERB", "verb"), Column("OURS", "ours"), Column("WHAT IT DOES", "help"))


@app.command("help")
def show_help(context: typer.Context) -> None:
    """List all commands, the original's verbs among them."""
    from qekm_cli.app import load

    rows = [
        {"verb": verb, "ours": place.ours, "help": str(load(verb).help).partition("\n")[0]}
        for verb, place in VERBS.items()
    ]
    if wants_json(context):
        listing(context, "verbs", rows, ())
        return
    root: Any = context.find_root()
    print(root.get_help(), "\nThe original's verbs:\n", sep="\n")
    print(*table(COLUMNS, rows), sep="\n")


@app.command("exit")
def leave() -> None:
    """Do nothing: there is no prompt to leave; qekm logout ends a login."""
