"""`qekm certificates issue`: a key pair made here, its certificate, and a home for a person elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from qekm_cli.client_home import ClientHome
from qekm_cli.commands import whole_number
from qekm_cli.connection import client_of, home_of, parse_identity
from qekm_cli.render import done, plain

if TYPE_CHECKING:
    from qekm.client import Client

Role = Literal["administrator", "operator", "auditor", "custodian", "gateway", "server"]


def issue_certificate(
    context: typer.Context,
    role: Annotated[Role, typer.Argument(help="What it may do.", metavar="ROLE")],
    name: Annotated[
        str, typer.Argument(help="Its name, and that of its files.", metavar="NAME", parser=parse_identity)
    ],
    host: Annotated[
        list[str] | None,
        typer.Option(help="Host name or address of a server or gateway; repeat for more.", metavar="HOST"),
    ] = None,
    days: Annotated[
        int,
        typer.Option(help="Validity; 0 for the role's default.", metavar="N", parser=whole_number(0, 825)),
    ] = 0,
    out: Annotated[
        Path,
        typer.Option(
            help="Directory for NAME.key, NAME.pem and trust.pem.", metavar="DIR", show_default=True
        ),
    ] = Path(),
    client_home: Annotated[
        Path | None,
        typer.Option(help="Make a home here, for administration from another machine.", metavar="DIR"),
    ] = None,
    reach: Annotated[
        str, typer.Option(help="How that machine reaches this key manager.", metavar="HOST")
    ] = "",
) -> None:
    """Make a private key here and have its certificate issued.

    With --client-home the directory is what a person needs on another machine, as QEKM_HOME there.
    """
    from qekm.v1 import certificates_pb2 as pb

    made = ClientHome.prepare(client_home, role, reach, home_of(context)) if client_home else None
    request = pb.IssueCertificateRequest(
        role=pb.Role.Value(f"ROLE_{role.upper()}"), name=name, hosts=host or [], days=days
    )
    with client_of(context) as client:
        row = plain(issue(client, request, made.pki if made else out))
        lines = made.complete(client, role, name) if made else []
    files = f"{made.directory}" if made else f"{out / name}.pem and {out / name}.key"
    told = f"{role} {name} issued: {files}, until {row['expire_time'].seconds}"
    done(context, row, "\n".join([told, *lines]))


def issue(client: Client, request: Any, directory: Path) -> Any:
    """Make a key, have the certificate issued that a request wants, write both; returns the certificate.

    BadParameter if a file is there, which is never written over.
    """
    from qekm.durable import create, replace
    from qekm.keypair import dump_key, make_key
    from qekm_cli.keypairs import request_of

    key_file, certificate_file = (directory / f"{request.name}.{end}" for end in ("key", "pem"))
    for path in (key_file, certificate_file):
        if path.exists():
            raise typer.BadParameter(f"{path} exists and is not overwritten; name another directory")
    key = dump_key(make_key())
    request.csr = request_of(key, request.name)
    create(key_file, key)
    try:
        response = client.certificates.IssueCertificate(request)
        create(certificate_file, response.pem)
    except BaseException:
        key_file.unlink()
        raise
    replace(directory / "trust.pem", response.trust_pem)
    return response.certificate
