"""What replacing a store by a backup takes: a second person's approval of exactly this file. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from qekm.approvals import Act
from qekm.errors import ApprovalNeeded
from qekm.model import Approval, ApprovalState


def restore_act(sha256: bytes, name: str) -> Act:
    """Return the act of replacing the store by a backup's file; the name is for the person who decides."""
    return Act.of("restore", f"replace the store by the backup {name}, SHA-256 {sha256.hex()}", sha256)


def used(approvals: Iterable[Approval], sha256: bytes, now_us: int) -> Approval:
    """Return the approval of a file's restore, used up; ApprovalNeeded."""
    digest = restore_act(sha256, "").digest
    for each in approvals:
        good = each.state is ApprovalState.APPROVED and now_us < each.expire_time_us
        if good and (each.action, each.digest) == ("restore", digest):
            return replace(each, state=ApprovalState.USED)
    hint = "start the service, and ask for it with: qekm backup restore FILE"
    raise ApprovalNeeded("a second person must approve that this file replaces the store", hint=hint)
