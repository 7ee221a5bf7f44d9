"""The original's commands under their own names, with its prompts and its answers to the letter.

One program for all: the name by which it is called says which command it is. Each asks for the command
password afresh, as the original did, whatever session `qekm login` keeps.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.main import get_command

from qekm.errors import EXIT_VERDICT, BadArgument, KeystoreLocked, NoPeer, ServiceAway, UnavailableError
from qekm.properties.listeners import SSL_PORT, TCP_PORT
from qekm_cli.afresh import ask_command_password, note, prove, served, stopped
from qekm_cli.app import end_with, run_command
from qekm_cli.commands import Guarded, Noun
from qekm_cli.connection import Invocation, client_of, home_of, invocation_of, is_elsewhere
from qekm_cli.exits import USAGE, Ending
from qekm_cli.family import answers
from qekm_cli.passwords import hand_over
from qekm_cli.peer_lines import brief, compared
from qekm_cli.prompts import ask, ask_password

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

app = Noun()

STARTING = "Starting EKM Server..."
STARTED = "Please check the logs to make sure EKM Server has started successfully."
NEW_PASSWORD, OLD_PASSWORD = "New command password", "Old command password"
KEYSTORE_PASSWORD = "Keystore password"  # noqa: S105
WAS_STOPPED = "Was the Q-EKM server stopped? It need not be; y to go on"
WHICH_PORT, NEW_PORT = "ssl or tcp", "New port number"
PORTS = {"tcp": TCP_PORT, "ssl": SSL_PORT}


@app.command("startQEKMServer", kind=Guarded)
def start_server(context: typer.Context) -> None:
    """Start the key manager; nothing is asked."""
    from qekm_cli import server

    home = home_of(context)
    home.require()
    print(STARTING, flush=True)
    if home.running("server") is None and server.is_opened_by_password(home):
        what = "a password opens this keystore, and startQEKMServer asks for none"
        raise KeystoreLocked(what, hint="start it with: qekm server start", act="start")
    print(STARTED if server.start(context, None) else "EKM Server is running already.")


@app.command("stopQEKMServer", kind=Guarded)
def stop_server(context: typer.Context) -> None:
    """Stop the key manager; answers under way are finished first."""
    from qekm.v1.server_pb2 import StopServerRequest
    from qekm_cli import server

    ask_command_password(context)
    if is_elsewhere(context):
        with served(context, ask_first=False) as client:
            client.server.StopServer(StopServerRequest())
        print("EKM Server was asked to stop.")
        return
    if "service" not in server.stop(context):
        raise stopped(ServiceAway("nothing was running", hint=""))
    print(answers.SHUT_DOWN)


@app.command("statusQEKMServer", kind=Guarded)
def show_status(context: typer.Context) -> None:
    """Tell whether the key manager runs, and on which ports."""
    from qekm.v1.server_pb2 import GetStatusRequest
    from qekm_cli.peers import rows_of

    with served(context) as client:
        status, peers = client.server.GetStatus(GetStatusRequest()), rows_of(client)
    print(answers.running(status.tcp_ports, status.ssl_port))
    for row in peers:
        note(f"server {brief(row)}")
    for line in status.degraded:
        note(f"DEGRADED {line}")
    if not status.tcp_ports:
        raise typer.Exit(EXIT_VERDICT)


@app.command("versionQEKMServer", kind=Guarded)
def show_version(context: typer.Context) -> None:
    """Tell the version of the key manager that runs."""
    from qekm.v1.server_pb2 import GetVersionRequest

    with served(context) as client:
        print(answers.version(client.server.GetVersion(GetVersionRequest()).version))


@app.command("listDrivesQEKMServer", kind=Guarded)
def list_drives(context: typer.Context) -> None:
    """List the drives that were given keys."""
    from qekm.v1 import drives_pb2 as pb
    from qekm_cli.render import pages

    with served(context) as client:
        request = pb.ListDrivesRequest(state=pb.DRIVE_STATE_ACCEPTED)
        serials = [drive.serial for drive in pages(client.drives.ListDrives, request, "drives")]
    print(*answers.drives(serials), sep="\n")


@app.command("chgpwdQEKMServer", kind=Guarded)
def change_password(context: typer.Context) -> None:
    """Change the command password; nothing is stopped."""
    from qekm.v1 import accounts_pb2 as pb
    from qekm_cli.session_file import SessionFile

    new = ask_password(NEW_PASSWORD)
    old = ask_command_password(context, OLD_PASSWORD)
    request = pb.UpdateOwnPasswordRequest(old_password=old.encode(), new_password=new.encode())
    with client_of(context, asking=False) as client:
        try:
            client.accounts.UpdateOwnPassword(request)
        except UnavailableError as error:
            raise stopped(error) from None
    SessionFile.of(context).forget()
    print("The command password was changed.")


@app.command("portChgQEKMServer", kind=Guarded)
def change_port(context: typer.Context) -> None:
    """Move the port of drives or the SSL port; nothing is stopped."""
    from qekm_cli import config

    ask_command_password(context)
    if not config.is_stopped(context):
        with served(context, ask_first=False):
            pass  # a wrong password is told before anything else is asked
    if ask(WAS_STOPPED).lower() not in ("y", "yes"):
        print("Nothing was changed.")
        return
    kind = ask(WHICH_PORT).lower()
    if kind not in PORTS:
        raise BadArgument(f"{kind[:20]!r} is neither ssl nor tcp", field="port")
    config.change(context, {PORTS[kind]: _port(ask(NEW_PORT))}, ())


@app.command("debugOnQEKMServer", kind=Guarded)
def switch_debug_on(context: typer.Context) -> None:
    """Write the debug log from now on."""
    _switch_debug(context, "all")
    print("Debug is on. Turn it off when the data are gathered: debugOffQEKMServer")


@app.command("debugOffQEKMServer", kind=Guarded)
def switch_debug_off(context: typer.Context) -> None:
    """Write the debug log no longer."""
    _switch_debug(context, "none")
    print("Debug is off.")


@app.command("syncQEKMServer", kind=Guarded)
def synchronise(context: typer.Context) -> None:
    """Compare this store with those of the other servers, which are kept the same all the time."""
    from qekm_cli.peers import rows_of, synchronise

    with served(context) as client:
        if not any(row["state"] == "joined" and not row["self"] for row in rows_of(client)):
            raise NoPeer("no second server is configured: there is nothing to synchronise with")
        rows = synchronise(client, repair=False)
    print(*(line for row in rows for line in compared(row)), sep="\n")
    if any(row["differences"] for row in rows):
        raise typer.Exit(EXIT_VERDICT)


@app.command("exportKeysQEKMServer", kind=Guarded)
def export_keys(context: typer.Context) -> None:
    """Write keys to a file that only a partner can open."""
    from qekm_cli.exporting import export_keys as export

    prove(context)
    partner = _answer("Partner")
    aliases = _answer("Aliases of the keys, with blanks between them").split()
    file = _file("File to write")
    if file.exists():
        raise BadArgument(f"{file} is there already", field="file")
    _open_keystore(context)
    export(context, file, aliases, to=partner)


@app.command("importKeysQEKMServer", kind=Guarded)
def import_keys(context: typer.Context) -> None:
    """Take the keys of a file in: one that a partner wrote, or a Java keystore."""
    from qekm_cli import importing, keyfiles

    prove(context)
    file = _file("File with the keys")
    content = importing.read_file(file)
    _open_keystore(context)
    if keyfiles.detect(content) == "jceks":
        _hand_over(context, "store_password_fd", ask_password("Password of the Java keystore"))
    importing.import_keys(context, file)


def main() -> NoReturn:
    """Run the command that this program is called as, and end the process with its exit code."""
    name = Path(sys.argv[0]).name
    end_with(name, lambda: run(name, sys.argv[1:]))


def run(name: str, arguments: Sequence[str], told: Invocation | None = None) -> Ending:
    """Run one of the commands and return how it ended."""
    commands: Any = get_command(app)
    told = told or Invocation()
    told.afresh = True
    if name not in commands.commands:
        return Ending(
            USAGE, f"{name} is none of the original's commands", f"one of {', '.join(commands.commands)}"
        )
    return run_command(name, commands.commands[name], arguments, told)


def _switch_debug(context: typer.Context, value: str) -> None:
    from qekm.v1 import configuration_pb2 as pb

    with served(context) as client:
        client.configuration.UpdateProperties(pb.UpdatePropertiesRequest(set={"debug": value}))


def _port(text: str) -> str:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65_536):
        raise BadArgument(f"{text[:20]!r} is not a port: a whole number from 1 to 65535", field="port")
    return str(int(text))


def _answer(question: str) -> str:
    """Return an answer that is not empty; BadArgument."""
    if answer := ask(question):
        return answer
    raise BadArgument(f"there is no answer to: {question}", field="answer")


def _file(question: str) -> Path:
    return Path(_answer(question)).expanduser()


def _open_keystore(context: typer.Context) -> None:
    """Ask for the keystore's password; the service wants it only if the keystore is locked."""
    if password := ask_password(KEYSTORE_PASSWORD, may_be_empty=True):
        _hand_over(context, "password_fd", password)


def _hand_over(context: typer.Context, option: str, password: str) -> None:
    """Give a password that was asked for to what reads an option."""
    invocation_of(context).given[option] = hand_over(password)
