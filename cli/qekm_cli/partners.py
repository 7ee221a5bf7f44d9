"""`qekm certificates`, the part about partners: our certificates for them, and theirs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qekm.errors import BadCertificate
from qekm.text import printable
from qekm_cli.connection import client_of
from qekm_cli.render import Column, document, done, listing, pages, plain, wants_json

if TYPE_CHECKING:
    from cryptography import x509

DIGITS = 64  # of a fingerprint
SHORTEST = 16  # digits that a person types at least: so many cannot be met by trying
LIST = (
    Column("NAME", "name"),
    Column("SIGNS", "signs"),
    Column("EXPIRES", "expire_time"),
    Column("FINGERPRINT", lambda row: row["fingerprint"][:16]),
    Column("SUBJECT", "subject"),
)
Name = Annotated[str, typer.Argument(help="Name of the partner.", metavar="NAME")]


def _hex(text: str) -> str:
    digits = text.replace(":", "").replace(" ", "").lower()
    if len(digits) != DIGITS or set(digits) - set("0123456789abcdef"):
        raise typer.BadParameter(f"{text[:80]!r} is not a SHA-256 fingerprint: {DIGITS} hex digits")
    return digits


def export_certificates(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option(help="Write them to this file.", metavar="FILE")] = None,
) -> None:
    """Print our certificates for a partner, and the fingerprint to tell over another way."""
    from qekm.durable import replace
    from qekm.v1 import sharing_pb2 as pb

    with client_of(context) as client:
        response = client.sharing.GetCertificates(pb.GetCertificatesRequest())
    if output is not None:
        replace(output, response.pem.encode("ascii"))
    if wants_json(context):
        document(plain(response))
        return
    if output is None:
        print(response.pem, end="", flush=True)
    told = f"tell the partner over another way, SHA-256: {_groups(response.fingerprint.hex())}"
    print(told, file=sys.stderr if output is None else sys.stdout)


def import_certificates(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="What the partner exported, PEM or DER.", metavar="FILE")],
    name: Annotated[str, typer.Option(help="Name for the partner here.", metavar="NAME")],
    fingerprint: Annotated[
        str | None,
        typer.Option(
            help="SHA-256 as the partner told it, if nobody can be asked.", metavar="HEX", parser=_hex
        ),
    ] = None,
) -> None:
    """Take a partner in, whose fingerprint a person has compared over another way."""
    from qekm.v1 import sharing_pb2 as pb

    certificates = _read(file)
    own = _fingerprint(certificates[0])
    if not fingerprint:
        _confirm(file, certificates[0], own)
    request = pb.CreatePartnerRequest(
        name=name, pem=_pem(certificates), fingerprint=bytes.fromhex(fingerprint or own)
    )
    with client_of(context) as client:
        row = plain(client.sharing.CreatePartner(request).partner)
    receives = "" if row["signs"] else "; it named no certificate that signs, so nothing can come from it"
    done(context, row, f"partner {name} taken in: {printable(row['subject'])}{receives}")


def list_partners(context: typer.Context) -> None:
    """List the partners."""
    from qekm.v1 import sharing_pb2 as pb

    with client_of(context) as client:
        found = pages(client.sharing.ListPartners, pb.ListPartnersRequest(), "partners")
        listing(context, "partners", map(plain, found), LIST)


def forget_partner(context: typer.Context, name: Name) -> None:
    """Remove a partner: nothing goes there, and nothing from there is taken in."""
    from qekm.v1 import sharing_pb2 as pb

    with client_of(context) as client:
        client.sharing.DeletePartner(pb.DeletePartnerRequest(name=name))
    done(context, {"name": name}, f"partner {name} removed")


def _read(file: Path) -> list[x509.Certificate]:
    """Return the certificates of a file; BadCertificate."""
    from qekm.interchange.partner import MAX_FILE, load

    with file.open("rb") as source:
        return load(source.read(MAX_FILE + 1))


def _pem(certificates: list[x509.Certificate]) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding

    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates).decode("ascii")


def _fingerprint(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives.hashes import SHA256

    return certificate.fingerprint(SHA256()).hex()


def _confirm(file: Path, certificate: x509.Certificate, own: str) -> None:
    """Show a certificate and have a person compare its fingerprint; BadCertificate."""
    from qekm.interchange.partner import holder_of

    if not (sys.stdin and sys.stdin.isatty()):
        hint = "give the fingerprint that the partner told: --fingerprint HEX"
        raise BadCertificate(f"{file}: nobody can be asked to compare its fingerprint", hint=hint)
    print(f"Subject  {printable(holder_of(certificate))}\nSHA-256  {_groups(own)}", file=sys.stderr)
    print("Ask the partner for it over another way, on the telephone for example.", file=sys.stderr)
    answer = input(f"Type what you are told (at least {SHORTEST} digits), or yes if it is the same: ")
    digits = answer.replace(":", "").replace(" ", "").lower()
    if digits != "yes" and not (len(digits) >= SHORTEST and own.startswith(digits)):
        raise BadCertificate(
            "the fingerprint was not confirmed", hint="somebody may have exchanged the certificate on its way"
        )


def _groups(digits: str) -> str:
    """Return hex digits in groups of four, to be read aloud."""
    return " ".join(digits[start : start + 4] for start in range(0, len(digits), 4))
