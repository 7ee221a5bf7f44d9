"""`qekm alarms`: what is not as it should be, and whether somebody hears of it."""

from __future__ import annotations

import sys

import typer

from qekm.errors import EXIT_VERDICT
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import Column, listing, pages, plain, wants_json

app = Noun()

TEST_SECONDS = 90  # deadline; a mail may take 60 s, and its connection some more
LIST = (
    Column("SEVERITY", "severity"),
    Column("SINCE", "begin_time"),
    Column("ABOUT", "subject"),
    Column("WHAT", lambda row: f"{row['title']}: {row['text']}" if row["text"] else row["title"]),
    Column("TO DO", "advice"),
)
TEST = (
    Column("RECEIVER", "receiver"),
    Column("RESULT", lambda row: f"failed at {row['failed_step']}" if row["failed_step"] else "arrived"),
    Column("SEEN", "message"),
)


@app.command("list")
def list_alarms(context: typer.Context) -> None:
    """List what is not as it should be now, the gravest first."""
    from qekm.v1 import alarms_pb2 as pb

    with client_of(context) as client:
        found = pages(client.alarms.ListAlarms, pb.ListAlarmsRequest(), "alarms")
        listing(context, "alarms", map(plain, found), LIST)


@app.command("test")
def test_alarms(context: typer.Context) -> None:
    """Send a test message to every receiver now; ends with 5 if one does not arrive, or there is none."""
    from qekm.v1 import alarms_pb2 as pb

    with client_of(context) as client:
        response = client.alarms.TestAlarms(pb.TestAlarmsRequest(), timeout=TEST_SECONDS)
    results = [plain(each) for each in response.results]
    if results or wants_json(context):
        listing(context, "results", results, TEST)
    else:
        print("qekm: nobody is told of alarms: set alarms.mail.server or alarms.webhook.url", file=sys.stderr)
    if not results or any(each["failed_step"] for each in results):
        raise typer.Exit(EXIT_VERDICT)
