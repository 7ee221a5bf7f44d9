"""list, listcerts, refreshks: what is in the keystore."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qekm.errors import BadArgument, UnknownKey
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import Column, Plain, cell, document, done, pages, plain, wants_json

if TYPE_CHECKING:
    from qekm.client import Client

app = Noun()

OWN = ("own-encryption", "own-signature", "own-authority")  # in the order of GetCertificates
PRIVATE = OWN[:2]  # the private key of the third stays with the service and signs nothing else
Alias = Annotated[str, typer.Option("-alias", help="Only this entry.", metavar="ALIAS")]
Verbose = Annotated[bool, typer.Option("-verbose", "-v", help="Also what is known of each.")]
CERTIFICATE = (
    Column("Subject", "subject"),
    Column("Expires", "expire_time"),
    Column("SHA-256", "fingerprint"),
)
KEY = (
    Column("State", "state"),
    Column("KeyGroup", "group"),
    Column("Algorithm", "algorithm"),
    Column("Created", "create_time"),
    Column("VolSer", "volser"),
)
KINDS = {
    "certificates": ("Certificates", CERTIFICATE),
    "private_keys": ("Private keys", CERTIFICATE),
    "symmetric_keys": ("Symmetric keys", KEY),
}


@app.command("list")
def list_entries(
    context: typer.Context,
    cert: Annotated[bool, typer.Option("-cert", help="Certificates.")] = False,
    key: Annotated[bool, typer.Option("-key", help="Private keys.")] = False,
    keysym: Annotated[bool, typer.Option("-keysym", help="Symmetric keys.")] = False,
    alias: Alias = "",
    verbose: Verbose = False,
) -> None:
    """List what is in the keystore: of one kind, or all."""
    chosen = {"certificates": cert, "private_keys": key, "symmetric_keys": keysym}
    kinds = [kind for kind, wanted in chosen.items() if wanted] or list(chosen)
    _list(context, kinds, alias, verbose)


@app.command("listcerts")
def list_certificates(context: typer.Context, alias: Alias = "", verbose: Verbose = False) -> None:
    """List the certificates in the keystore: our own for partners, and the partners'."""
    _list(context, ["certificates"], alias, verbose)


@app.command("refreshks")
def refresh_keystore(context: typer.Context) -> None:
    """Tell how many keys there are: only the service changes the keystore, so that none is read anew."""
    from qekm.v1 import keystore_pb2 as pb

    with client_of(context) as client:
        row = plain(client.keystore.GetKeystore(pb.GetKeystoreRequest()))
    count = sum(each["count"] for each in row["counts"])
    done(context, row, f"the keystore is as the service left it, with {count:,} keys; nothing to read anew")


def _list(context: typer.Context, kinds: Sequence[str], alias: str, verbose: bool) -> None:
    with client_of(context) as client:
        found = {kind: _READERS[kind](client, alias) for kind in kinds}
    if alias and not any(found.values()):
        raise UnknownKey(
            f"the keystore has no such entry: {alias!r}", hint="list them with: qekm list", alias=alias
        )
    if wants_json(context):
        document(found)
        return
    for kind, rows in found.items():
        title, columns = KINDS[kind]
        print(f"{title}: {len(rows)}")
        for row in rows:
            print(f"Alias = {cell(row['alias'])}")
            for column in columns if verbose else ():
                print(f"  {column.title} = {column.of(row)}")


def _certificates(client: Client, alias: str) -> list[Plain]:
    """Return our own certificates and the partners'."""
    return _named([*_own(client), *_partners(client)], alias)


def _private_keys(client: Client, alias: str) -> list[Plain]:
    """Return what belongs to the private keys of the exchange with partners; they never leave the service."""
    return _named([row for row in _own(client) if row["alias"] in PRIVATE], alias)


def _symmetric_keys(client: Client, alias: str) -> list[Plain]:
    from qekm.v1 import keystore_pb2 as pb

    if not alias:
        return [plain(key) for key in pages(client.keystore.ListKeys, pb.ListKeysRequest(), "keys")]
    try:
        return [plain(client.keystore.GetKey(pb.GetKeyRequest(alias=alias)).key)]
    except (UnknownKey, BadArgument):
        return []


_READERS: dict[str, Any] = {
    "certificates": _certificates,
    "private_keys": _private_keys,
    "symmetric_keys": _symmetric_keys,
}


def _named(rows: list[Plain], alias: str) -> list[Plain]:
    """Return all rows, or that of an alias in any case."""
    return [row for row in rows if not alias or row["alias"].lower() == alias.lower()]


def _own(client: Client) -> Iterator[Plain]:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    from qekm.v1 import sharing_pb2 as pb

    response = client.sharing.GetCertificates(pb.GetCertificatesRequest())
    for alias, found in zip(OWN, x509.load_pem_x509_certificates(response.pem.encode("ascii")), strict=False):
        yield {
            "alias": alias,
            "subject": found.subject.rfc4514_string(),
            "expire_time": f"{found.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
            "fingerprint": found.fingerprint(SHA256()).hex(),
        }


def _partners(client: Client) -> Iterator[Plain]:
    from qekm.v1 import sharing_pb2 as pb

    for partner in pages(client.sharing.ListPartners, pb.ListPartnersRequest(), "partners"):
        row = plain(partner)
        yield {
            "alias": row["name"],
            **{name: row[name] for name in ("subject", "expire_time", "fingerprint")},
        }
