"""`qekm audit`: the trail of what was done and refused."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any

import typer

from qekm.errors import EXIT_VERDICT
from qekm.interchange.roster import normal_serial
from qekm_cli.commands import Noun, whole_number
from qekm_cli.connection import client_of
from qekm_cli.render import Column, Plain, listing, pages, plain, progress, record, wants_json
from qekm_cli.since import parse_since

app = Noun()

VERIFY_SECONDS = 3600  # deadline; about 100,000 records a second are checked


def _what(row: Plain) -> str:
    """Return who did it, with which key, what is said, and how often."""
    times = f"x{row['count']}" if row["count"] > 1 else ""
    return " ".join(filter(None, (row["actor"], row["alias"], row["message"], times)))


LIST = (
    Column("SEQUENCE", "sequence"),
    Column("TIME", "time"),
    Column("EVENT", "event"),
    Column("OUTCOME", "outcome"),
    Column("DRIVE", "drive_serial"),
    Column("VOLSER", "volser"),
    Column("CODE", "code"),
    Column("WHAT", _what),
)
CHECKPOINTS = (
    Column("SERVER", "server"),
    Column("TIME", "time"),
    Column("EPOCH", "epoch"),
    Column("COMMIT", "commit"),
    Column("SEEN", lambda row: f"{row['sequence']}:{row['hash']}"),
    Column("PUBLIC KEY", "public_key"),
)
VERDICT = (
    Column("Verdict", lambda row: "intact" if row["intact"] else f"broken at record {row['broken_at']}"),
    Column("Reason", "reason"),
    Column("Records", "records"),
    Column("Head", "head"),
    Column("Public key", "public_key"),
)


def _since(text: str) -> datetime:
    try:
        return parse_since(text, datetime.now(UTC))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@app.command("list")
def list_records(
    context: typer.Context,
    drive: Annotated[str, typer.Option(help="Only this drive.", metavar="SERIAL", parser=normal_serial)] = "",
    volser: Annotated[str, typer.Option(help="Only this cartridge.", metavar="VOLSER")] = "",
    since: Annotated[
        datetime | None,
        typer.Option(
            help="Only since then: 2026-11-23T17:04, or 30m, 2h, 3d.", metavar="WHEN", parser=_since
        ),
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only failures.")] = False,
    limit: Annotated[
        int,
        typer.Option(
            help="At most the newest so many; 0 for all.", metavar="N", parser=whole_number(0, 10**9)
        ),
    ] = 100,
) -> None:
    """List the newest records, the newest last."""
    from google.protobuf.timestamp_pb2 import Timestamp

    from qekm.v1 import audit_pb2 as pb

    moment = Timestamp(seconds=int(since.timestamp()), nanos=since.microsecond * 1000) if since else None
    request = pb.ListRecordsRequest(
        drive_serial=drive, volser=volser, since=moment, failed=failed, newest_first=limit > 0
    )
    with client_of(context) as client:
        records: Any = map(plain, pages(client.audit.ListRecords, request, "records", limit))
        if limit:
            records = reversed(list(islice(records, limit)))
        listing(context, "records", records, LIST)


@app.command("verify")
def verify_trail(context: typer.Context) -> None:
    """Check every link and signature of the trail; ends with 5 if one does not hold."""
    from qekm.errors import Incident
    from qekm.v1 import audit_pb2 as pb

    verdict: Plain | None = None
    with client_of(context) as client, progress("checking records", 0) as bar:
        for answer in client.audit.VerifyTrail(pb.VerifyTrailRequest(), timeout=VERIFY_SECONDS):
            bar.length = answer.total
            bar.update(answer.checked - bar.pos)
            if answer.HasField("verdict"):
                verdict = {**plain(answer.verdict), "records": answer.checked}
    if verdict is None:
        raise Incident("the check ended without a verdict")
    record(context, verdict, VERDICT)
    if not verdict["intact"]:
        raise typer.Exit(EXIT_VERDICT)
    if not wants_json(context):
        print("keep the head elsewhere: it shows a later truncation")


@app.command("checkpoints")
def list_checkpoints(context: typer.Context) -> None:
    """List how far the trails of all servers were: qekm-server audit-verify --seen takes it there."""
    from qekm.v1 import audit_pb2 as pb

    with client_of(context) as client:
        found = client.audit.ListCheckpoints(pb.ListCheckpointsRequest()).checkpoints
        listing(context, "checkpoints", map(plain, found), CHECKPOINTS)
