"""status, version, stopekm, sync: the server as a whole."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from qekm.errors import EXIT_VERDICT, NoPeer, ServiceAway, UnavailableError
from qekm.text import printable
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of, parse_target
from qekm_cli.family import answers
from qekm_cli.peer_lines import compared
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
    """Compare this store with those of the other servers, which are kept the same all the time.

    Neither -merge nor -rewrite changes anything: what is at one of them is at all.
    """
    from qekm_cli.peers import rows_of, synchronise

    if sum((all_, config, drivetab)) != 1 or (merge and rewrite):
        raise typer.BadParameter("give one of -all, -config, -drivetab, and at most one of -merge, -rewrite")
    with client_of(context) as client:
        others = [row for row in rows_of(client) if row["state"] == "joined" and not row["self"]]
        if address not in {row["address"] for row in others}:
            known = ", ".join(row["address"] or row["name"] for row in others) or "none is configured"
            hint = "enrol one with: qekm peers invite"
            raise NoPeer(f"{address} is no peer of this server: {known}", hint=hint)
        rows = [row for row in synchronise(client, repair=False) if row["address"] == address]
    done(context, {"peers": rows}, "\n".join(line for row in rows for line in compared(row)))
    if any(row["differences"] for row in rows):
        raise typer.Exit(EXIT_VERDICT)
