"""`qekm init`: hands over to `qekm-server init`, which alone touches a store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from qekm_cli.commands import Noun, whole_number
from qekm_cli.connection import home_of
from qekm_cli.passwords import DescriptorOption, FileOption, hand_over, read_password
from qekm_cli.processes import program
from qekm_cli.render import document, wants_json

app = Noun()

MOST_KEYS = 1_000_000


def _assignment(text: str) -> str:
    name, _, value = text.partition("=")
    if not name or not value:
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE, for example TransportListener.tcp.port=3801")
    return text


@app.command("init")
def init(
    context: typer.Context,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Name or address for the server's certificate; repeat for more.", metavar="HOST"),
    ] = None,
    keys: Annotated[
        int, typer.Option(help="Keys to make.", metavar="N", parser=whole_number(0, MOST_KEYS))
    ] = 1024,
    slot: Annotated[
        Literal["key-file", "password"] | None,
        typer.Option(
            help="What opens the keystore: a key file (default), or a password.", show_default=False
        ),
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="Key file, if not root.key in the home.", metavar="FILE")
    ] = None,
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            help="Setting to begin with; repeat for more.",
            metavar="NAME=VALUE",
            parser=_assignment,
        ),
    ] = None,
    password_file: FileOption = None,
    password_fd: DescriptorOption = None,
) -> None:
    """Make a key manager: keys, certificates, settings.

    With a password it must be given again at every start.
    """
    wanted = slot == "password" or password_file is not None or password_fd is not None
    if wanted and (slot == "key-file" or key_file is not None):
        raise typer.BadParameter("a keystore opens with a key file or with a password, not both", ctx=context)
    words = [program("qekm-server"), "init", "--home", str(home_of(context).path), "--keys", str(keys)]
    for name in host or []:
        words += ["--host", name]
    for assignment in properties or []:
        words += ["--property", assignment]
    if key_file is not None:
        words += ["--key-file", str(key_file.absolute())]
    handed: list[int] = []
    if wanted:
        handed.append(hand_over(read_password(password_file, password_fd, confirm=True)))
        words += ["--password-fd", str(handed[0])]
    if wants_json(context):
        made = subprocess.run(words, stdout=subprocess.DEVNULL, pass_fds=handed, check=False)  # noqa: S603
        if made.returncode:
            raise typer.Exit(made.returncode)
        document({"home": words[3], "keys": keys})
        return
    sys.stdout.flush()
    # One program of ours becomes the other: terminal, Ctrl-C and exit code need no passing on.
    os.execv(words[0], words)  # noqa: S606
