"""`qekm completion`: the scripts that let a shell complete `qekm`; printed, never installed unasked."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from qekm_cli.commands import Noun

app = Noun()


@app.command("completion")
def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="Shell to print the script for.")],
) -> None:
    """Print the completion script of a shell, for example: eval "$(qekm completion bash)"."""
    from qekm_cli.app import complete

    complete(f"source_{shell}")
