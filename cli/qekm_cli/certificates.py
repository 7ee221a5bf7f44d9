"""`qekm certificates`: who may call what. Private keys are made here and never leave this machine."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from qekm_cli import issuing, partners, renewing, rollover
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import Column, Plain, done, listing, pages, plain, record, wants_json

app = Noun()
app.add_typer(
    rollover.app, name="rollover", help="Change the internal authority, old and new trusted meanwhile."
)

app.command("issue")(issuing.issue_certificate)
app.command("renew")(renewing.renew_certificates)
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
