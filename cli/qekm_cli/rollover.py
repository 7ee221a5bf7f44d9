"""`qekm certificates rollover`: from one internal authority to the next."""

from __future__ import annotations

from typing import Annotated

import typer

from qekm_cli.commands import Noun
from qekm_cli.connection import client_of, home_of
from qekm_cli.render import done

app = Noun()


def _keep(context: typer.Context, trust_pem: bytes) -> None:
    """Write the authorities to the home that this command uses, so that its next call still fits."""
    from qekm.durable import replace

    home = home_of(context)
    if home.pki.is_dir():
        replace(home.trust, trust_pem)


@app.command("start")
def start_rollover(context: typer.Context) -> None:
    """Make a new authority; both are trusted until the roll-over is finished."""
    from qekm.v1 import certificates_pb2 as pb

    with client_of(context) as client:
        trust = client.certificates.StartRollover(pb.StartRolloverRequest()).trust_pem
    _keep(context, trust)
    done(
        context,
        {"trust_pem": trust.decode("ascii")},
        "a new authority is in force beside the old one, and the service's own certificate is renewed.\n"
        "Now renew the others (qekm certificates renew NAME --revoke-old), bring trust.pem to every\n"
        "machine, then: qekm certificates rollover finish",
    )


@app.command("finish")
def finish_rollover(
    context: typer.Context,
    force: Annotated[
        bool,
        typer.Option("--force", help="Although certificates of the old authority are in force: they end."),
    ] = False,
) -> None:
    """End the trust in the old authority."""
    from qekm.v1 import certificates_pb2 as pb

    with client_of(context) as client:
        trust = client.certificates.FinishRollover(pb.FinishRolloverRequest(force=force)).trust_pem
    _keep(context, trust)
    done(context, {"trust_pem": trust.decode("ascii")}, "the old authority is no longer trusted")
