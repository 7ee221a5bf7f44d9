"""`qekm peers join`: `qekm-server join`, which alone makes a store, asks the estate and makes the home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qekm_cli.connection import home_of
from qekm_cli.init import assignment
from qekm_cli.processes import program, run_to_end
from qekm_cli.render import document, wants_json


def join_estate(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The invitation.", metavar="FILE")],
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--property",
            help="Setting of this server to begin with; repeat for more.",
            metavar="NAME=VALUE",
            parser=assignment,
        ),
    ] = None,
    tcp_port: Annotated[str | None, typer.Option(help="Port for drives (3801).", metavar="N")] = None,
    ssl_port: Annotated[str | None, typer.Option(help="Port for other servers (443).", metavar="N")] = None,
    yes_fingerprint: Annotated[
        str | None,
        typer.Option(help="Fingerprint of the inviting server, if nobody can be asked.", metavar="HEX"),
    ] = None,
) -> None:
    """Make this machine a further server of the estate that has invited it.

    It waits until an administrator there has compared the fingerprints and accepted; Ctrl-C leaves nothing.
    """
    home = str(home_of(context).path)
    words = [program("qekm-server"), "join", str(file), "--home", home]
    ports = {"TransportListener.tcp.port": tcp_port, "TransportListener.ssl.port": ssl_port}
    given = [f"{name}={port}" for name, port in ports.items() if port is not None]
    for assigned in (*(properties or []), *given):
        words += ["--property", assigned]
    if yes_fingerprint is not None:
        words += ["--yes-fingerprint", yes_fingerprint]
    try:
        # What it tells is for people: a document stands alone on standard output.
        output = 2 if wants_json(context) else None
        ended = run_to_end(words, stdout=output)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if ended:
        raise typer.Exit(ended)
    if wants_json(context):
        document({"home": home})
