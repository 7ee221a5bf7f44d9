"""`qekm drives authorities`: certificate authorities that may name drives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import Column, Plain, done, listing, pages, plain

app = Noun()

SHORTEST = 8  # hex digits: enough to tell authorities apart, too many to name one by accident
LONGEST_FILE = 65_536  # bytes; a CA certificate has 1 to 3 kilobytes
LIST = (
    Column("FINGERPRINT", lambda row: row["fingerprint"][:16]),
    Column("EXPIRES", "expire_time"),
    Column("SUBJECT", "subject"),
)


def parse_fingerprint(text: str) -> str:
    """Return 8 to 64 hex digits in lower case, colons taken out, or raise BadParameter."""
    digits = text.replace(":", "").lower()
    if not SHORTEST <= len(digits) <= 64 or set(digits) - set("0123456789abcdef"):
        raise typer.BadParameter(
            f"{text!r} is not a SHA-256 fingerprint: 64 hex digits, or at least the first 8"
        )
    return digits


@app.command("list")
def list_authorities(context: typer.Context) -> None:
    """List the authorities that drives may come from."""
    from qekm.v1 import drives_pb2 as pb

    with client_of(context) as client:
        found = pages(client.drives.ListAuthorities, pb.ListAuthoritiesRequest(), "authorities")
        listing(context, "authorities", map(plain, found), LIST)


@app.command("add")
def add_authority(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="CA certificate, PEM or DER.", metavar="FILE")],
) -> None:
    """Trust a certificate authority to name drives."""
    from qekm.errors import BadCertificate
    from qekm.v1 import drives_pb2 as pb

    with file.open("rb") as source:
        certificate = source.read(LONGEST_FILE + 1)
    if not 0 < len(certificate) <= LONGEST_FILE:
        raise BadCertificate(
            f"{file}: not a certificate: {len(certificate) or 'no'} bytes", hint="give a PEM or DER file"
        )
    with client_of(context) as client:
        authority = plain(
            client.drives.CreateAuthority(pb.CreateAuthorityRequest(certificate=certificate)).authority
        )
    done(context, authority, f"authority added: {authority['subject']}, SHA-256 {authority['fingerprint']}")


@app.command("remove")
def remove_authority(
    context: typer.Context,
    fingerprint: Annotated[
        str,
        typer.Argument(
            help="SHA-256 of the certificate, or its beginning.", metavar="HEX", parser=parse_fingerprint
        ),
    ],
) -> None:
    """End the trust in an authority; its drives are refused from now on."""
    from qekm.errors import BadArgument, UnknownAuthority
    from qekm.v1 import drives_pb2 as pb

    with client_of(context) as client:
        known = pages(client.drives.ListAuthorities, pb.ListAuthoritiesRequest(), "authorities")
        found: list[Plain] = [plain(one) for one in known if one.fingerprint.hex().startswith(fingerprint)]
        if not found:
            raise UnknownAuthority(f"no authority has the fingerprint {fingerprint}")
        if len(found) > 1:
            raise BadArgument(
                f"{fingerprint} is the beginning of {len(found)} fingerprints", hint="give more digits"
            )
        digest = bytes.fromhex(found[0]["fingerprint"])
        client.drives.DeleteAuthority(pb.DeleteAuthorityRequest(fingerprint=digest))
    done(context, found[0], f"authority removed: {found[0]['subject']}")
