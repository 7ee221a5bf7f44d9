"""`qekm certificates`: who may call what. Private keys are made here and never leave this machine."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from qekm_cli import issuing, partners, rollover
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of, home_of, identity_of, parse_identity
from qekm_cli.render import Column, Plain, done, listing, pages, plain, record, wants_json

app = Noun()
app.add_typer(
    rollover.app, name="rollover", help="Change the internal authority, old and new trusted meanwhile."
)

app.command("issue")(issuing.issue_certificate)
app.command("export")(partners.export_certificates)
app.command("import")(partners.import_certificates)
app.command("partners")(partners.list_partners)
app.command("forget")(partners.forget_partner)


def _state(row: Plain) -> str:
    if row["revoke_time"]:
        return "revoked"
    return "expired" if row["expire_time"] <= datetime.now(UTC).isoformat() else "in force"


LIST = (
    Column("NAME", "name"),
    Column("ROLE", "role"),
    Column("STATE", _state),
    Column("EXPIRES", "expire_time"),
    Column("SERIAL", "serial"),
)


def _serial(text: str) -> str:
    digits = text.replace(":", "").lower().lstrip("0")
    if not 0 < len(digits) <= 40 or set(digits) - set("0123456789abcdef"):
        raise typer.BadParameter(
            f"{text!r} is not a serial: up to 40 hex digits, as in qekm certificates list"
        )
    return digits


@app.command("list")
def list_certificates(context: typer.Context) -> None:
    """List issued certificates, the newest first."""
    from qekm.v1 import certificates_pb2 as pb

    with client_of(context) as client:
        found = pages(client.certificates.ListCertificates, pb.ListCertificatesRequest(), "certificates")
        listing(context, "certificates", map(plain, found), LIST)


@app.command("renew")
def renew_certificate(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help="Pair in the home's pki/; by default the one in use.",
            metavar="[NAME]",
            parser=parse_identity,
        ),
    ] = None,
    revoke_old: Annotated[
        bool, typer.Option("--revoke-old", help="Revoke the one before, as an administrator may.")
    ] = False,
) -> None:
    """Get a new certificate for a key that is there; the old one stays valid unless it is revoked."""
    from qekm.durable import replace
    from qekm.v1 import certificates_pb2 as pb
    from qekm_cli.keypairs import request_of, serial_of

    own = identity_of(context)
    name, home = name or own, home_of(context)
    csr = request_of(home.key(name).read_bytes(), name)
    named = revoke_old or name != own
    serial = serial_of(home.certificate(name).read_bytes(), name) if named else ""
    with client_of(context) as client:
        response = client.certificates.RenewCertificate(pb.RenewCertificateRequest(csr=csr, serial=serial))
        replace(home.trust, response.trust_pem)
        replace(home.certificate(name), response.pem)
        if revoke_old:  # last: the files hold the new one, whatever becomes of this
            old = pb.RevokeCertificateRequest(serial=serial, reason="renewed", only_this=True)
            client.certificates.RevokeCertificate(old)
    row = plain(response.certificate)
    ended = "; the one before is revoked" if revoke_old else ""
    done(context, row, f"{name} renewed: {home.certificate(name)}, until {row['expire_time'].seconds}{ended}")


@app.command("revoke")
def revoke_certificate(
    context: typer.Context,
    serial: Annotated[str, typer.Argument(help="Its serial.", metavar="SERIAL", parser=_serial)],
    reason: Annotated[str, typer.Option(help="Why, for the audit trail.", metavar="TEXT")] = "",
    only_this: Annotated[
        bool, typer.Option("--only-this", help="Leave the others of its role and name in force.")
    ] = False,
) -> None:
    """Refuse a certificate and all others of its role and name from now on, and end their open calls."""
    from qekm.v1 import certificates_pb2 as pb

    request = pb.RevokeCertificateRequest(serial=serial, reason=reason, only_this=only_this)
    with client_of(context) as client:
        response = client.certificates.RevokeCertificate(request)
    row, also = plain(response.certificate), [plain(each) for each in response.also_revoked]
    told = [f"{each['role']} {each['name']} revoked: {each['serial']}" for each in (row, *also)]
    done(context, {**row, "also_revoked": also}, "\n".join(told))


@app.command("trust")
def show_trust(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.", metavar="FILE")] = None,
) -> None:
    """Print the authorities in force, PEM."""
    from qekm.durable import replace
    from qekm.v1 import certificates_pb2 as pb

    with client_of(context) as client:
        response = client.certificates.GetTrust(pb.GetTrustRequest())
    if out is not None:
        replace(out, response.trust_pem)
    if wants_json(context):
        record(context, plain(response), ())
    elif out is None:
        print(response.trust_pem.decode("ascii"), end="")
    if response.rolling:
        left = f"{response.old_count} certificates of the old authority are in force"
        print(f"qekm: a roll-over is under way: {left}", file=sys.stderr)
