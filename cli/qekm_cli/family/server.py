"""status, version, stopekm, sync: the server as a whole."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from qekm.errors import NoPeer, ServiceAway, UnavailableError
from qekm.text import printable
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of, parse_target
from qekm_cli.family import answers
from qekm_cli.render import done, plain

app = Noun()


@app.command("status")
def show_status(context: typer.Context) -> None:
    """Tell whether the server runs, and on which ports."""
    from qekm.v1 import server_pb2 as pb
    from qekm_cli.server import STATUS_SECONDS

    try:
        with client_of(context) as client:
            status = client.server.GetStatus(pb.GetStatusRequest(), timeout=STATUS_SECONDS)
    except UnavailableError:
        print(answers.STOPPED, flush=True)
        raise
    done(context, {"running": True, **plain(status)}, answers.running(status.tcp_ports, status.ssl_port))
    for line in status.degraded:
        print(f"DEGRADED {printable(line)}", file=sys.stderr)


@app.command("version")
def show_version(context: typer.Context) -> None:
    """Tell the version of the server."""
    from qekm.v1 import server_pb2 as pb

    with client_of(context) as client:
        version = client.server.GetVersion(pb.GetVersionRequest()).version
    done(context, {"version": version}, answers.version(version))


@app.command("stopekm")
def stop_server(context: typer.Context) -> None:
    """Stop the server; answers under way are finished first."""
    from qekm_cli.server import stop

    stopped = stop(context)
    if not stopped:
        print(answers.STOPPED, flush=True)
        raise ServiceAway("nothing was running", hint="")
    done(context, {"stopped": stopped}, answers.SHUT_DOWN)


@app.command("sync")
def synchronise(
    context: typer.Context,
    address: Annotated[
        str, typer.Option("-ipaddr", help="The other server.", metavar="HOST:PORT", parser=parse_target)
    ],
    *,
    all_: Annotated[bool, typer.Option("-all", help="Configuration and drive table.")] = False,
    config: Annotated[bool, typer.Option("-config", help="The configuration.")] = False,
    drivetab: Annotated[bool, typer.Option("-drivetab", help="The drive table.")] = False,
    merge: Annotated[bool, typer.Option("-merge", help="Leave there what is not here.")] = False,
    rewrite: Annotated[bool, typer.Option("-rewrite", help="Remove there what is not here.")] = False,
) -> None:
    """Tell that there is no second server yet to bring up to date."""
    if sum((all_, config, drivetab)) != 1 or (merge and rewrite):
        raise typer.BadParameter("give one of -all, -config, -drivetab, and at most one of -merge, -rewrite")
    raise NoPeer(
        f"{address} is no peer of this server: none is configured", hint="a peer comes with a later version"
    )
