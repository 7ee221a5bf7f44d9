"""`qekm server`: the service and the gateway together."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qekm.errors import (
    EXIT_VERDICT,
    IdentityError,
    NotAllowed,
    NotInitialised,
    PasswordNeeded,
    QekmError,
    StateError,
    UnavailableError,
)
from qekm_cli.commands import Guarded, Noun
from qekm_cli.connection import client_of, home_of, is_elsewhere
from qekm_cli.passwords import DescriptorOption, FileOption
from qekm_cli.peer_lines import brief
from qekm_cli.render import cell, document, done, plain, wants_json

if TYPE_CHECKING:
    from qekm.client import Client
    from qekm.home import Home
    from qekm_cli.processes import Part

app = Noun()

STATUS_SECONDS = 5  # a service that takes longer to say how it is, is not well
# What may come of asking a service that runs: it is ours all the same, and a signal stops it too.
DEAF = (UnavailableError, IdentityError, NotInitialised)


@app.command("start", kind=Guarded)
def start_server(
    context: typer.Context, password_file: FileOption = None, password_fd: DescriptorOption = None
) -> None:
    """Start the service and the gateway and wait until both answer.

    A keystore that a password opens asks for it; a script gives a file or a descriptor.
    """
    from qekm_cli.passwords import hand_over, read_password
    from qekm_cli.processes import SERVICE, runs

    home, descriptor = home_of(context), None
    home.require()
    if not runs(SERVICE, home) and is_opened_by_password(home):
        descriptor = hand_over(read_password(password_file, password_fd, confirm=False))
    started = start(context, descriptor)
    sentence = " and ".join(started) + " started" if started else "service and gateway run already"
    done(context, {"started": started}, sentence)


def start(context: typer.Context, descriptor: int | None) -> list[str]:
    """Start what does not run of this home and wait until it answers; returns what was started.

    descriptor: where the service reads the keystore's password, if it needs one.
    """
    from qekm_cli.processes import GATEWAY, SERVICE, START_SECONDS, runs, starting

    home = home_of(context)
    with starting(home):
        until = time.monotonic() + START_SECONDS
        parts = {part: not runs(part, home) for part in (SERVICE, GATEWAY)}
        if parts[SERVICE]:
            _start(context, SERVICE, until, descriptor)
        if parts[GATEWAY]:
            _start(context, GATEWAY, until, None)
    return [part.title for part, wanted in parts.items() if wanted]


def is_opened_by_password(home: Home) -> bool:
    """Tell whether every start needs the keystore's password; BadConfiguration."""
    from qekm.configuration.settings import Settings

    return bool(Settings.load(home.config)["keystore.slot"] == "password")


def _start(context: typer.Context, part: Part, until: float, descriptor: int | None) -> None:
    from qekm_cli.processes import GATEWAY, Log, start, wait_until

    home = home_of(context)
    log = Log.from_here(home.stderr_log)
    process = start(part, home, descriptor)

    def ready() -> bool:
        told = home.running(part.name)
        if told is None:
            return False
        try:
            status = _status(context, asking=False)
        except IdentityError:  # no certificate here to ask with, or no session: that it listens must do
            return True
        if isinstance(status, QekmError):
            return False
        return part is not GATEWAY or any(gateway.pid == told.pid for gateway in status.gateways)

    wait_until(ready, part, process, log, until)


def _status(context: typer.Context, *, asking: bool = True) -> Any:
    """Return the service's status, or the error that tells why it does not answer."""
    try:
        with client_of(context, asking=asking) as client:
            return _status_of(client)
    except UnavailableError as error:
        return error


def _status_of(client: Client) -> Any:
    from qekm.v1 import server_pb2 as pb

    return client.server.GetStatus(pb.GetStatusRequest(), timeout=STATUS_SECONDS)


def _row(context: typer.Context) -> dict[str, Any]:
    """Return how service, gateway and the other servers are."""
    from qekm_cli.peers import rows_of

    try:
        with client_of(context) as client:
            status, peers = _status_of(client), rows_of(client)
    except UnavailableError as error:
        return {"service": "down", "gateway": _gateway_alone(context), "reason": error.message}
    gateway = "running" if status.gateways else _gateway_alone(context)
    return {"service": "running", "gateway": gateway, "status": plain(status), "peers": peers}


@app.command("stop")
def stop_server(
    context: typer.Context,
    by_signal: Annotated[
        bool, typer.Option("--signal", help="Without asking the service: its owner needs no password.")
    ] = False,
) -> None:
    """Stop the gateway and the service; answers under way are finished first."""
    if is_elsewhere(context):
        with client_of(context) as client:
            _ask_to_stop(client)
        done(context, {"asked": True}, "the service was asked to stop")
        return
    stopped = stop(context, by_signal=by_signal)
    sentence = f"{' and '.join(stopped)} stopped" if stopped else "nothing was running"
    done(context, {"stopped": stopped}, sentence)


def stop(context: typer.Context, *, by_signal: bool = False) -> list[str]:
    """Stop what runs of this home, and wait for its end; returns what ran.

    Who has a command password proves it before anything is stopped; raises PasswordNeeded, BadPassword,
    NotAllowed.
    """
    from qekm_cli.processes import GATEWAY, SERVICE, end_of, terminate

    home = home_of(context)
    with contextlib.ExitStack() as stack:
        asked = home.running(SERVICE.name) is not None and not by_signal
        client = _administrator(context, stack) if asked else None
        stopped = ["gateway"] if terminate(GATEWAY, home) else []
        try:
            ended = client is not None and end_of(SERVICE, home, lambda: _ask_to_stop(client))
        except DEAF:
            ended = False
        ended = terminate(SERVICE, home) or ended
    return stopped + (["service"] if ended else [])


def _administrator(context: typer.Context, stack: contextlib.ExitStack) -> Client | None:
    """Return a client that may stop the service, None if the service cannot be asked at all."""
    from qekm.v1 import accounts_pb2 as pb

    try:
        client = stack.enter_context(client_of(context))
        actor = client.accounts.GetSession(pb.GetSessionRequest(), timeout=STATUS_SECONDS).actor
    except PasswordNeeded:
        raise
    except DEAF:
        return None
    except StateError:  # a service from before there were passwords, about to be replaced
        return client
    role = actor.partition("/")[0]
    if role != "administrator":
        raise NotAllowed(f"{actor} may not stop the service", role=role, method="StopServer")
    return client


def _ask_to_stop(client: Client) -> None:
    from qekm.v1 import server_pb2 as pb

    client.server.StopServer(pb.StopServerRequest())


@app.command("status")
def show_status(context: typer.Context) -> None:
    """Tell what runs and what is not as it should be; ends with 5 if a part is down."""
    row = _row(context)
    if wants_json(context):
        document(row)
    else:
        print(*_lines(row), sep="\n")
    if not row["service"] == row["gateway"] == "running":
        raise typer.Exit(EXIT_VERDICT)


def _gateway_alone(context: typer.Context) -> str:
    """Return how the gateway of this home is when the service does not know it: down, or not connected."""
    if is_elsewhere(context):
        return "unknown"
    return "disconnected" if home_of(context).running("gateway") else "down"


def _lines(row: dict[str, Any]) -> list[str]:
    """Return the status for people: a line per part, the counts, and what is degraded."""
    status = row.get("status")
    if status is None:
        return [f"service  {row['service']}: {row['reason']}", f"gateway  {row['gateway']}"]
    lines = [f"service  {_process(status)}, since {cell(status['start_time'])}"]
    gateways = [f"gateway  {_process(one)}, drives at {cell(one['addresses'])}" for one in status["gateways"]]
    lines += gateways or [f"gateway  {row['gateway']}"]
    lines += [f"keys     {status['ready_key_count']:,} ready", f"drives   {status['drive_count']:,}"]
    lines.append(f"anchor   {status['anchor']}")  # what drives are told to believe
    lines += [f"server   {brief(peer)}" for peer in row["peers"]]
    if status.get("ssl_refused"):
        lines.append(f"refused  {status['ssl_refused']:,} connections to the SSL port, or silent")
    return lines + [f"DEGRADED {cell(line)}" for line in status["degraded"]]


def _process(one: dict[str, Any]) -> str:
    return f"running, version {cell(one['version'])}, pid {one['pid']}"


@app.command("version")
def show_version(context: typer.Context) -> None:
    """Tell the version of this program and of the service, if it answers."""
    from qekm import __version__
    from qekm.v1 import server_pb2 as pb

    try:
        with client_of(context) as client:
            service, reason = client.server.GetVersion(pb.GetVersionRequest()).version, ""
    except (UnavailableError, NotInitialised) as error:
        service, reason = None, error.message
    told = service or f"no answer ({reason})"
    done(context, {"qekm": __version__, "service": service}, f"qekm     {__version__}\nservice  {told}")
