"""`qekm approvals`: what one person asked for and another one decides."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from qekm.text import printable
from qekm_cli.commands import Noun
from qekm_cli.connection import client_of
from qekm_cli.render import Column, Plain, done, listing, pages, plain

app = Noun()

Id = Annotated[str, typer.Argument(help="Id of the request, 8 hex digits.", metavar="ID")]


def _state(row: Plain) -> object:
    open_ = row["state"] in ("pending", "approved")
    return "ended" if open_ and row["expire_time"] <= datetime.now(UTC).isoformat() else row["state"]


LIST = (
    Column("ID", "approval_id"),
    Column("STATE", _state),
    Column("ASKED BY", "requester"),
    Column("DECIDED BY", "decider"),
    Column("ENDS", "expire_time"),
    Column("WHAT", "summary"),
)


@app.command("list")
def list_approvals(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
) -> None:
    """List requests, the newest first."""
    from qekm.v1 import approvals_pb2 as pb

    with client_of(context) as client:
        found = pages(client.approvals.ListApprovals, pb.ListApprovalsRequest(all=everything), "approvals")
        listing(context, "approvals", map(plain, found), LIST)


@app.command("approve")
def approve_request(context: typer.Context, approval_id: Id) -> None:
    """Approve what somebody else asked for; whoever asked then runs the same command again."""
    from qekm.v1 import approvals_pb2 as pb

    with client_of(context) as client:
        response = client.approvals.GrantApproval(pb.GrantApprovalRequest(approval_id=approval_id))
    row = plain(response.approval)
    until = row["expire_time"].seconds
    done(context, row, printable(f"approved until {until} for {row['requester']}: {row['summary']}"))


@app.command("refuse")
def refuse_request(context: typer.Context, approval_id: Id) -> None:
    """Refuse a request that was not used yet, or take one's own back."""
    from qekm.v1 import approvals_pb2 as pb

    with client_of(context) as client:
        row = plain(
            client.approvals.RefuseApproval(pb.RefuseApprovalRequest(approval_id=approval_id)).approval
        )
    done(context, row, printable(f"refused to {row['requester']}: {row['summary']}"))
