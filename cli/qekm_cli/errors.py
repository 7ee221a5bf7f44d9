"""`qekm errors`: what a code of a library or the audit trail, or an error of ours, means and what to do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from qekm_cli.commands import Noun
from qekm_cli.render import Column, listing, record, wants_json

app = Noun()

CODES = (Column("CODE", "code"), Column("KIND", "kind"), Column("TITLE", "title"))
REASONS = (
    Column("ERROR", "reason"),
    Column("EXIT", "exit_code"),
    Column("DRIVE", "code"),
    Column("MEANING", "meaning"),
)
EXPLANATION = (
    Column("Code", "code"),
    Column("Title", "title"),
    Column("Sense key", lambda row: [f"{key:02X}" for key in row["sense_keys"]]),
    Column("To a drive", "drive"),
    Column("Here", "here"),
    Column("Our errors", lambda row: [*row["errors"]]),
)
REASON = (
    Column("Error", "reason"),
    Column("Meaning", "meaning"),
    Column("Exit code", "exit_code"),
    Column("Hint", "hint"),
    Column("To a drive", "code"),
)


@app.command("list")
def list_errors(
    context: typer.Context,
    ours: Annotated[
        bool, typer.Option("--ours", help="The errors of this product, as programs see them, instead.")
    ] = False,
) -> None:
    """List all codes of drives, libraries and this product."""
    from qekm import explanations

    rows: Any = explanations.REASONS if ours else explanations.EXPLANATIONS
    listing(context, "errors", map(asdict, rows.values()), REASONS if ours else CODES)


@app.command("explain")
def explain_error(
    context: typer.Context,
    name: Annotated[
        list[str],
        typer.Argument(help="A code (EE31, 0xEE31, EE 31) or an error (PORT_IN_USE).", metavar="CODE"),
    ],
) -> None:
    """Explain a code, or an error of this product, and say what to do."""
    from qekm.explanations import Reason, look_up

    found = look_up(" ".join(name))
    record(context, asdict(found), REASON if isinstance(found, Reason) else EXPLANATION)
    if not isinstance(found, Reason) and not wants_json(context):
        print(*(f"{number:>2}. {action}" for number, action in enumerate(found.actions, 1)), sep="\n")
