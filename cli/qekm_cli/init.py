"""`qekm init`: asks for what was not given; `qekm-server init`, which alone touches a store, makes it."""

from __future__ import annotations

import os
import subprocess
from typing import Annotated

import typer

from qekm_cli.choices import Choices, Making, choose
from qekm_cli.commands import Noun, whole_number
from qekm_cli.connection import home_of, invocation_of
from qekm_cli.passwords import handed_over
from qekm_cli.processes import program, run_to_end
from qekm_cli.render import document, wants_json
from qekm_cli.shares import hand_out

app = Noun()

MOST_KEYS = 1_000_000


def assignment(text: str) -> str:
    """Return a setting that is NAME=VALUE, or raise BadParameter."""
    name, _, value = text.partition("=")
    if not name or not value:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE, for example TransportListener.tcp.port=3801")
    return text


@app.command("init", kind=Making)
def init(
    context: typer.Context,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address for the server's certificate; repeat for more.", metavar="HOST"),
    ] = None,
    keys: Annotated[
        int, typer.Option(help="Keys to make.", metavar="N", parser=whole_number(0, MOST_KEYS))
    ] = 1024,
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            help="Setting to begin with; repeat for more.",
            metavar="NAME=VALUE",
            parser=assignment,
        ),
    ] = None,
) -> None:
    """Make a key manager: keys, certificates, settings.

    A key file opens the keystore at every start, a password for people, and recovery shares when all else is
    lost. New keys are given out once they are in a backup on another file system. The command password is
    the administrator's, for every command from then on.
    """
    home = str(home_of(context).path)
    choices = choose(invocation_of(context), properties or [], home)
    words = [program("qekm-server"), "init", "--home", home, "--keys", str(keys), *choices.words()]
    for name in host or []:
        words += ["--host", name]
    mnemonics = _make(words, choices, quiet=wants_json(context))
    files: list[str] = []
    if choices.split is not None:
        files = hand_out(mnemonics, choices.split.needed, choices.shares_dir)
    if wants_json(context):
        report = {"takeover": f"{home}/takeover.txt"} if choices.old else {}
        document({"home": home, "keys": keys, "shares": files, **report})


def _make(words: list[str], choices: Choices, *, quiet: bool) -> list[str]:
    """Run qekm-server init and return the recovery shares; raises typer.Exit with its code if it fails."""
    words, handed = handed_over(words, choices.secrets())
    reader = None
    if choices.split is not None:
        reader, writer = os.pipe()  # which holds more than all shares together
        handed.append(writer)
        words += ["--shares", str(choices.split), "--shares-fd", str(writer)]
    output = subprocess.DEVNULL if quiet else None
    ended = run_to_end(words, stdout=output, pass_fds=handed)
    for descriptor in handed:
        os.close(descriptor)
    if ended:
        raise typer.Exit(ended)
    if reader is None:
        return []
    with os.fdopen(reader) as pipe:
        return pipe.read().splitlines()
