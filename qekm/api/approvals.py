"""ApprovalsService: what waits for a second person, and that person's word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qekm.api.fields import stamp
from qekm.api.guard import caller
from qekm.api.journal import Journal
from qekm.api.paging import Paged, cut
from qekm.approvals import Approvals
from qekm.model import Approval
from qekm.v1 import approvals_pb2 as pb
from qekm.v1.approvals_pb2_grpc import ApprovalsServiceServicer


class ApprovalsServicer(ApprovalsServiceServicer):
    """Thin: the owner decides, the journal commits."""

    def __init__(self, approvals: Approvals, journal: Journal, issued_us: Callable[[str], int]) -> None:
        """Take the owner, the journal, and what tells when the certificate of a serial was made."""
        self._approvals, self._journal, self._issued_us = approvals, journal, issued_us

    async def ListApprovals(self, request: pb.ListApprovalsRequest, context: Any) -> pb.ListApprovalsResponse:
        """List requests, newest first."""
        page = Paged.of(request)
        found = self._approvals.page(page.text, page.size + 1, over=request.all)
        rows, token = cut(page, found, lambda each: each.approval_id)
        return pb.ListApprovalsResponse(approvals=map(to_proto, rows), next_page_token=token)

    async def GrantApproval(self, request: pb.GrantApprovalRequest, context: Any) -> pb.GrantApprovalResponse:
        """Approve a request of somebody else's; UnknownApproval, SameSubject."""
        own = caller()
        granted = self._approvals.grant(request.approval_id, own.actor, self._issued_us(own.serial))
        await self._journal.commit("GrantApproval", [granted], message=_told(granted))
        return pb.GrantApprovalResponse(approval=to_proto(granted))

    async def RefuseApproval(
        self, request: pb.RefuseApprovalRequest, context: Any
    ) -> pb.RefuseApprovalResponse:
        """Refuse a request, or take one's own back; UnknownApproval."""
        refused = self._approvals.refuse(request.approval_id, caller().actor)
        await self._journal.commit("RefuseApproval", [refused], message=_told(refused))
        return pb.RefuseApprovalResponse(approval=to_proto(refused))


def _told(approval: Approval) -> str:
    return f"request {approval.approval_id} of {approval.requester}: {approval.summary}"


def to_proto(approval: Approval) -> pb.Approval:
    """Return a request as its message."""
    return pb.Approval(
        approval_id=approval.approval_id,
        action=approval.action,
        summary=approval.summary,
        requester=approval.requester,
        create_time=stamp(approval.create_time_us),
        expire_time=stamp(approval.expire_time_us),
        state=pb.ApprovalState.ValueType(approval.state),
        decider=approval.decider,
        decide_time=stamp(approval.decide_time_us),
    )
