"""`qekm certificates renew`: one pair of the home's, all of them, or those that end soon."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from qekm.text import printable
from qekm_cli.commands import whole_number
from qekm_cli.connection import client_of, home_of, identity_of, parse_identity
from qekm_cli.render import Column, Plain, done, listing, plain, wants_json

if TYPE_CHECKING:
    from qekm.client import Client
    from qekm.home import Home

LIST = (
    Column("NAME", "name"),
    Column("ROLE", "role"),
    Column("EXPIRES", "expire_time"),
    Column("SERIAL", "serial"),
)


@dataclass(frozen=True, slots=True)
class Renewal:
    """How certificates are renewed: for whom, with whose certificate, and what becomes of the one before."""

    home: Home
    own: str
    revoke_old: bool

    def renew(self, client: Client, name: str) -> Plain:
        """Have a certificate issued for the key that is there, and write it in the old one's place."""
        from qekm.durable import replace
        from qekm.v1 import certificates_pb2 as pb
        from qekm_cli.keypairs import request_of, serial_of

        home = self.home
        csr = request_of(home.key(name).read_bytes(), name)
        named = self.revoke_old or name != self.own
        serial = serial_of(home.certificate(name).read_bytes(), name) if named else ""
        response = client.certificates.RenewCertificate(pb.RenewCertificateRequest(csr=csr, serial=serial))
        replace(home.trust, response.trust_pem)
        replace(home.certificate(name), response.pem)
        if self.revoke_old:  # last: the files hold the new one, whatever becomes of this
            old = pb.RevokeCertificateRequest(serial=serial, reason="renewed", only_this=True)
            client.certificates.RevokeCertificate(old)
        return plain(response.certificate)

    def names(self, days: int | None) -> list[str]:
        """Return the pairs that are here and end within so many days, the one in use last; None: all.

        One that cannot be read is among them: to renew it tells why.
        """
        pairs = sorted(path.stem for path in self.home.pki.glob("*.key"))
        there = [name for name in pairs if self.home.certificate(name).is_file()]
        wanted = [name for name in there if days is None or self._days_left(name) <= days]
        return sorted(wanted, key=lambda name: name == self.own)

    def _days_left(self, name: str) -> float:
        from datetime import UTC, datetime

        from qekm.errors import QekmError
        from qekm_cli.keypairs import end_of

        try:
            end = end_of(self.home.certificate(name).read_bytes(), name)
        except (QekmError, OSError):
            return 0.0
        return (end - datetime.now(UTC)).total_seconds() / 86_400


def renew_certificates(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            help="Pair in the home's pki/; by default the one in use.",
            metavar="[NAME]",
            parser=parse_identity,
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All pairs in the home's pki/.")] = False,
    expiring: Annotated[
        int | None,
        typer.Option(
            "--expiring",
            help="Those that end within so many days.",
            metavar="DAYS",
            parser=whole_number(0, 825),
        ),
    ] = None,
    revoke_old: Annotated[
        bool, typer.Option("--revoke-old", help="Revoke the one before, as an administrator may.")
    ] = False,
) -> None:
    """Get new certificates for keys that are here; the old ones stay valid unless they are revoked.

    No call fails meanwhile: service and gateway show the new one with their next connection.
    """
    if sum((name is not None, everything, expiring is not None)) > 1:
        raise typer.BadParameter("name one, or --all, or --expiring DAYS")
    own = identity_of(context)
    renewal = Renewal(home_of(context), own, revoke_old)
    ended = "; the one before is revoked" if revoke_old else ""
    if not everything and expiring is None:
        one = name or own
        with client_of(context) as client:
            row = renewal.renew(client, one)
        path = renewal.home.certificate(one)
        done(context, row, f"{one} renewed: {path}, until {row['expire_time'].seconds}{ended}")
        return
    names = renewal.names(expiring)
    rows, errors = _renew_all(context, renewal, names) if names else ([], [])
    if names or wants_json(context):
        listing(context, "certificates", rows, LIST)
    else:
        print("no certificate here ends so soon")
    if errors:
        raise errors[0]


def _renew_all(
    context: typer.Context, renewal: Renewal, names: list[str]
) -> tuple[list[Plain], list[Exception]]:
    """Renew one after the other; what fails is told and keeps no other from being renewed."""
    from qekm.errors import QekmError

    rows: list[Plain] = []
    errors: list[Exception] = []
    with client_of(context) as client:
        for name in names:
            try:
                rows.append(renewal.renew(client, name))
            except (QekmError, OSError) as error:
                errors.append(error)
                what = error.message if isinstance(error, QekmError) else str(error)
                print(printable(f"qekm: {name} is not renewed: {what}"), file=sys.stderr)
    return rows, errors
