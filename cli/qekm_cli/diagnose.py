"""`qekm diagnose`: the path diagnostics of tape libraries, played by a test drive of the gateway's own."""

from __future__ import annotations

import typer

from qekm.errors import EXIT_VERDICT
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import Column, listing, plain

app = Noun()

DIAGNOSE_SECONDS = 60  # deadline; four tests with at most 10 s each, and a margin
COLUMNS = (
    Column("GATEWAY", "gateway"),
    Column("ADDRESS", "address"),
    Column("TEST", "test"),
    Column("RESULT", "status"),
    Column("TIME", lambda row: f"{row['elapsed_us'] / 1000:.1f} ms"),
    Column("SEEN", "message"),
)


@app.command("diagnose")
def diagnose(context: typer.Context) -> None:
    """Test the whole path to a key with a drive of our own; ends with 5 if a test fails."""
    from qekm.v1 import diagnosis_pb2 as pb

    with client_of(context) as client:
        response = client.diagnosis.Diagnose(pb.DiagnoseRequest(), timeout=DIAGNOSE_SECONDS)
    results = [plain(result) for result in response.results]
    listing(context, "results", results, COLUMNS)
    if not results or any(result["status"] != "passed" for result in results):
        raise typer.Exit(EXIT_VERDICT)
