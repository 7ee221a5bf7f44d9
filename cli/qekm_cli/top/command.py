"""The shell of `qekm top`: asks, draws, waits, until somebody has seen enough."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from qekm.errors import BadArgument, PasswordNeeded, UnavailableError
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import document, wants_json

if TYPE_CHECKING:
    from rich.console import Console

    from qekm_cli.top.look import Look
    from qekm_cli.top.rates import Rates

app = Noun()

LEAST_S, MOST_S = 0.5, 3_600.0


@app.command("top")
def top(
    context: typer.Context,
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", help="How often to look.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look twice, print what was seen, and end.")] = False,
) -> None:
    """Watch drives, serving rate, pool, servers and the last failures, live; q leaves.

    Where the output is no terminal it looks twice, prints what it saw and ends.
    """
    if not LEAST_S <= every <= MOST_S:
        raise BadArgument(f"--every is from {LEAST_S:g} to {MOST_S:,.0f} seconds", field="every")
    if wants_json(context) or once or not sys.stdout.isatty():
        _print(context, every)
        return
    while _watch(context, every):  # a session that ended is opened anew on the ordinary screen
        pass


def _print(context: typer.Context, every: float) -> None:
    """Print one picture, of two looks: a rate needs both."""
    import shutil

    from qekm_cli.top.drawing import draw, texts
    from qekm_cli.top.keyboard import wait
    from qekm_cli.top.look import look
    from qekm_cli.top.rates import Rates

    rates = Rates()
    with client_of(context) as client:
        _note(look(client), rates)
        wait(every)
        seen = _note(look(client), rates)
    if wants_json(context):
        told = {name: getattr(seen, name) for name in ("status", "activity", "groups", "peers")}
        document({**told, "rates": {kind: rates.now(kind) for kind in ("written", "read", "refused")}})
        return
    width = shutil.get_terminal_size((100, 0)).columns
    for line in texts(draw(seen, rates, width, 10_000)):
        print(line)


def _watch(context: typer.Context, every: float) -> bool:
    """Draw until somebody leaves, or until a password is needed: then True."""
    from rich.text import Text

    from qekm_cli.top.drawing import draw
    from qekm_cli.top.keyboard import unbuffered, wait
    from qekm_cli.top.look import look
    from qekm_cli.top.rates import Rates

    console, rates, trouble = _terminal(), Rates(), ""
    with client_of(context) as client:
        seen = _note(look(client), rates)  # whatever is to be asked is asked before the screen is taken
    with client_of(context, asking=False) as client, unbuffered(), console.screen(hide_cursor=True) as screen:
        while True:
            lines = draw(seen, rates, console.width, console.height, trouble)
            screen.update(Text("\n").join(lines))
            try:
                if wait(every):
                    return False
                seen, trouble = _note(look(client), rates), ""
            except UnavailableError as error:
                trouble = error.message
            except PasswordNeeded:
                return True
            except KeyboardInterrupt:
                return False


def _terminal() -> Console:
    """Return the terminal in the size it has now: COLUMNS and LINES are of when a shell exported them.

    A serial line has no size; there they are all that is known.
    """
    from rich.console import Console

    stale = ("COLUMNS", "LINES") if os.get_terminal_size(sys.stdout.fileno()).columns else ()
    return Console(_environ={name: value for name, value in os.environ.items() if name not in stale})


def _note(seen: Look, rates: Rates) -> Look:
    from qekm_cli.top.rates import Counts

    rates.add(Counts.of(seen.activity, seen.at_s))
    return seen
