"""The fake of the approvals service."""

from __future__ import annotations

from typing import Any

from qekm.errors import SameSubject, UnknownApproval
from qekm.v1 import approvals_pb2 as pb

from .parts import moment, page_of


def request(number: int, **more: Any) -> pb.Approval:
    """Return the number-th request, waiting unless said otherwise."""
    fields: dict[str, Any] = {
        "approval_id": f"0000000{number}",
        "action": "destroy",
        "summary": f"destroy {number} keys in 7 days",
        "requester": "administrator/alice",
        "create_time": moment(),
        "expire_time": moment(86_400),
        "state": pb.APPROVAL_STATE_PENDING,
    }
    return pb.Approval(**{**fields, **more})


class FakeApprovals:
    """Requests, newest first; those of who asks are of `me`."""

    def __init__(self) -> None:
        self.me = "custodian/bob"
        self.requests = [
            request(4),
            request(3, requester="custodian/bob"),
            request(2, state=pb.APPROVAL_STATE_USED, decider="custodian/bob", decide_time=moment(9)),
            request(1, create_time=moment(-90_000), expire_time=moment(-3_600)),
        ]

    def ListApprovals(self, asked: Any) -> Any:
        """Answer a page of requests."""
        found = [each for each in self.requests if asked.all or each.approval_id in ("00000004", "00000003")]
        approvals, token = page_of(found, asked)
        return pb.ListApprovalsResponse(approvals=approvals, next_page_token=token)

    def GrantApproval(self, asked: Any) -> Any:
        """Approve a request of another."""
        found = self._find(asked.approval_id)
        if found.requester == self.me:
            raise SameSubject(f"{self.me} asked for this and cannot approve it")
        found.state, found.decider = pb.APPROVAL_STATE_APPROVED, self.me
        return pb.GrantApprovalResponse(approval=found)

    def RefuseApproval(self, asked: Any) -> Any:
        """Refuse a request."""
        found = self._find(asked.approval_id)
        found.state, found.decider = pb.APPROVAL_STATE_REFUSED, self.me
        return pb.RefuseApprovalResponse(approval=found)

    def _find(self, approval_id: str) -> pb.Approval:
        for each in self.requests:
            if each.approval_id == approval_id:
                return each
        raise UnknownApproval(f"there is no request {approval_id!r}")
