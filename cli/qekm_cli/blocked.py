"""`qekm drives blocked`: drives' public keys that are refused, whatever serial they come with."""

from __future__ import annotations

from typing import Annotated

import typer

from qekm_cli.authorities import parse_fingerprint
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import Column, done, listing, pages, plain

app = Noun()

LIST = (Column("PUBLIC KEY", "spki_sha256"), Column("BLOCKED", "create_time"))


@app.command("list")
def list_blocked(context: typer.Context) -> None:
    """List the blocked keys by their SHA-256."""
    from qekm.v1 import drives_pb2 as pb

    with client_of(context) as client:
        found = pages(client.drives.ListBlockedKeys, pb.ListBlockedKeysRequest(), "blocked_keys")
        listing(context, "blocked_keys", map(plain, found), LIST)


@app.command("remove")
def remove_blocked(
    context: typer.Context,
    key: Annotated[
        str,
        typer.Argument(
            help="SHA-256 of the public key, or its beginning.", metavar="HEX", parser=parse_fingerprint
        ),
    ],
) -> None:
    """Let a blocked key be used again."""
    from qekm.errors import BadArgument, UnknownDrive
    from qekm.v1 import drives_pb2 as pb

    with client_of(context) as client:
        known = pages(client.drives.ListBlockedKeys, pb.ListBlockedKeysRequest(), "blocked_keys")
        found = [one.spki_sha256 for one in known if one.spki_sha256.hex().startswith(key)]
        if not found:
            raise UnknownDrive(f"no blocked key begins with {key}", hint="qekm drives blocked list")
        if len(found) > 1:
            raise BadArgument(f"{key} is the beginning of {len(found)} keys", hint="give more digits")
        client.drives.UnblockKey(pb.UnblockKeyRequest(spki_sha256=found[0]))
    done(context, {"spki_sha256": found[0].hex()}, f"key {found[0].hex()} may be used again")
