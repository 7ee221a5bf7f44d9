"""`qekm peers`: the servers of the estate, each of which serves drives and has all keys."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qekm.errors import EXIT_VERDICT, NotWaiting, PeerRefused
from qekm.text import printable
from qekm_cli import joining
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of, parse_target
from qekm_cli.peer_lines import compared, full, grouped, here, is_troubled, state
from qekm_cli.prompts import ask
from qekm_cli.proofs import Proving, read_proof
from qekm_cli.render import Column, Plain, cell, document, done, listing, plain, wants_json

if TYPE_CHECKING:
    from qekm.client import Client

app = Noun()
app.command("join")(joining.join_estate)

WAIT_SECONDS = 86_400  # as long as an invitation lives
SYNC_SECONDS = 3_600
LIST_SECONDS = 5  # as of a status: what takes longer is not well
_LOOK_SECONDS = 1.0
Name = Annotated[str, typer.Argument(help="Name of the server.", metavar="NAME")]


def _fingerprint(text: str) -> str:
    digits = "".join(text.replace(":", "").split()).lower()
    if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        raise typer.BadParameter(f"{text[:80]!r} is not a SHA-256 fingerprint: 64 hex digits")
    return digits


LIST = (
    Column("NAME", here),
    Column("STATE", state),
    Column("ROLE", lambda row: row["role"] if row["state"] == "joined" else None),
    Column("ADDRESS", "address"),
    Column("JOINED", "join_time"),
    Column("KEY", lambda row: row["spki_sha256"][:16]),
)


@app.command("invite")
def invite_peer(
    context: typer.Context,
    name: Name,
    host: Annotated[
        list[str] | None,
        typer.Option(help="Host name or address of the new server; repeat for more.", metavar="HOST"),
    ] = None,
    address: Annotated[
        str,
        typer.Option(
            help="Where other servers will find it; else its first host at 443.", metavar="HOST:PORT"
        ),
    ] = "",
    own_address: Annotated[
        str, typer.Option(help="Where it finds this server's SSL port.", metavar="HOST:PORT")
    ] = "",
    output: Annotated[
        Path | None, typer.Option(help="The invitation; else NAME.invitation here.", metavar="FILE")
    ] = None,
) -> None:
    """Make an invitation for a further server: a file that works once, within 24 hours.

    Whoever has the file can ask to be let in, and no more: carry it there as you would a password.
    """
    from qekm.durable import create
    from qekm.v1 import peers_pb2 as pb

    path = output or Path(f"{name}.invitation")
    if path.exists():
        raise typer.BadParameter(f"{path} exists and is not overwritten; name another file with --output")
    hosts = host or []
    if not address and hosts:
        address = f"[{hosts[0]}]:443" if ":" in hosts[0] else f"{hosts[0]}:443"
    parse_target(address or None)
    parse_target(own_address or None)
    request = pb.InvitePeerRequest(name=name, hosts=hosts, address=address, own_address=own_address)
    with client_of(context) as client:
        response = client.peers.InvitePeer(request)
    create(path, response.invitation)
    row = plain(response)
    lines = [
        f"invited {printable(name)} until {row['expire_time'].seconds}: {path}",
        f"this server has the key  {grouped(row['spki_sha256'])}",
        f"there, with the file:    qekm peers join {path.name}",
        f"then here:               qekm peers accept {name}",
    ]
    told = {"file": str(path), "fingerprint": row["spki_sha256"], "expire_time": row["expire_time"]}
    done(context, told, "\n".join(lines))


@app.command("accept", kind=Proving)
def accept_peer(
    context: typer.Context,
    name: Name,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            help="The new server's, as it shows it, if nobody can be asked.",
            metavar="HEX",
            parser=_fingerprint,
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the server to come.")] = False,
) -> None:
    """Let a server in that waits, once both ends show the same fingerprints.

    It gets the root key, so the keystore's password or another slot is needed. Where two people are needed,
    it is another one than who has invited it.
    """
    from qekm.v1 import peers_pb2 as pb

    with client_of(context) as client:
        waiting = _waiting(client, name, patient=wait)
        if fingerprint is None:
            _compare(client, waiting)
        proof = read_proof(context)
        spki = bytes.fromhex(fingerprint or waiting["spki_sha256"])
        request = pb.AcceptPeerRequest(name=name, spki_sha256=spki, proof=proof)
        row = plain(client.peers.AcceptPeer(request).peer)
    done(context, row, f"{printable(name)} is a server of the estate; there: qekm server start")


def rows_of(client: Client) -> list[Plain]:
    """Return the servers of the estate, and those that are invited."""
    from qekm.v1 import peers_pb2 as pb

    return [plain(peer) for peer in client.peers.ListPeers(pb.ListPeersRequest(), timeout=LIST_SECONDS).peers]


def _waiting(client: Client, name: str, *, patient: bool) -> Plain:
    """Return the server that waits under a name; NotWaiting."""
    until = time.monotonic() + (WAIT_SECONDS if patient else 0)
    while True:
        found = next((row for row in rows_of(client) if row["name"] == name and row["waiting"]), None)
        if found is not None:
            return found
        if time.monotonic() >= until:
            raise NotWaiting(f"no server waits to be let in as {name!r:.70}", peer=name[:64])
        time.sleep(_LOOK_SECONDS)


def _compare(client: Client, waiting: Plain) -> None:
    """Show both keys and have a person say that the other end shows the same; PeerRefused."""
    own = next((row for row in rows_of(client) if row["self"]), None)
    print("This server has the key", grouped(own["spki_sha256"] if own else ""), sep="\n  ", file=sys.stderr)
    title = f"{printable(waiting['name'])} has the key"
    print(title, grouped(waiting["spki_sha256"]), sep="\n  ", file=sys.stderr)
    if ask("Do both ends show the same? [y/N]").lower() not in ("y", "yes"):
        raise PeerRefused("the fingerprints were not confirmed", peer=waiting["name"])


@app.command("list")
def list_peers(context: typer.Context) -> None:
    """List the servers of the estate, and those that are invited."""
    with client_of(context) as client:
        listing(context, "peers", rows_of(client), LIST)


@app.command("status")
def show_status(context: typer.Context) -> None:
    """Show how the other servers are; ends with 5 if one is away or differs."""
    with client_of(context) as client:
        rows = rows_of(client)
    if wants_json(context):
        document({"peers": rows})
    else:
        lines = [line for row in rows for line in full(row)]
        print(*(lines or ["this server is the only one of its estate"]), sep="\n")
    if any(is_troubled(row) for row in rows):
        raise typer.Exit(EXIT_VERDICT)


@app.command("remove")
def remove_peer(
    context: typer.Context,
    name: Name,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Let a server go, or take its invitation back: its certificates are refused from now on.

    What it has it keeps: it knows the root key, and what was written with its keys.
    """
    from qekm.v1 import peers_pb2 as pb

    if not yes and ask(f"Remove the server {printable(name)}? [y/N]").lower() not in ("y", "yes"):
        raise typer.Exit(1)
    with client_of(context) as client:
        client.peers.RemovePeer(pb.RemovePeerRequest(name=name))
    done(context, {"name": name}, f"{printable(name)} is no server of the estate any more")


@app.command("rejoin")
def rejoin_peers(
    context: typer.Context,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Have a restored server take its place among the others that its backup knows.

    Where another machine serves in that place, they refuse that one from then on.
    """
    from qekm.v1 import peers_pb2 as pb

    with client_of(context) as client:
        apart = [row for row in rows_of(client) if row["apart"]]
        names = ", ".join(cell(row["name"]) for row in apart)
        question = f"Take this server's place among {names}? A machine that has it now is refused. [y/N]"
        if apart and not yes and ask(question).lower() not in ("y", "yes"):
            raise typer.Exit(1)
        rows = [plain(peer) for peer in client.peers.RejoinPeers(pb.RejoinPeersRequest()).peers]
    done(context, {"peers": rows}, f"rows are exchanged with {names} from now on")


@app.command("sync")
def sync_peers(
    context: typer.Context,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Send every row again, both ways, first.")] = False,
) -> None:
    """Compare this store with those of all other servers; ends with 5 if they differ."""
    with client_of(context) as client:
        rows = synchronise(client, repair=repair)
    if wants_json(context):
        document({"peers": rows})
    else:
        print(*(line for row in rows for line in compared(row)), sep="\n")
    if any(row["differences"] for row in rows):
        raise typer.Exit(EXIT_VERDICT)


def synchronise(client: Client, *, repair: bool) -> list[dict[str, Any]]:
    """Compare with all other servers and return them; NoPeer, PeerAway."""
    from qekm.v1 import peers_pb2 as pb

    response = client.peers.SyncPeers(pb.SyncPeersRequest(repair=repair), timeout=SYNC_SECONDS)
    return [plain(peer) for peer in response.peers]
