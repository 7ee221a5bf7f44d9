"""The fake of the audit service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qekm.v1 import audit_pb2

from .parts import moment, page_of


class FakeAudit:
    """A trail of five records; record 3 is a refusal."""

    def __init__(self) -> None:
        self.records = [
            audit_pb2.Record(
                sequence=n,
                time=moment(n),
                event="drive.refuse" if n == 3 else "key.serve",
                outcome=audit_pb2.OUTCOME_FAILURE if n == 3 else audit_pb2.OUTCOME_SUCCESS,
                actor="drive",
                drive_serial="001300000392" if n % 2 else "001310000363",
                volser="E01001L4",
                code="EF01" if n == 3 else "",
                message="evil \x1b[2J text" if n == 3 else "",
                count=7 if n == 3 else 1,
            )
            for n in range(1, 6)
        ]
        self.broken_at = 0
        self.requests: list[Any] = []

    def ListRecords(self, request: Any) -> Any:
        """Answer a page of records."""
        self.requests.append(request)
        found = [
            one
            for one in self.records
            if request.drive_serial in ("", one.drive_serial)
            and request.volser in ("", one.volser)
            and (not request.failed or one.outcome == audit_pb2.OUTCOME_FAILURE)
            and (not request.HasField("since") or one.time.seconds >= request.since.seconds)
        ]
        records, token = page_of(found[::-1] if request.newest_first else found, request)
        return audit_pb2.ListRecordsResponse(records=records, next_page_token=token)

    def VerifyTrail(self, request: Any, timeout: float | None = None) -> Iterator[Any]:
        """Report half way, then the verdict."""
        assert timeout and timeout > 30, "a long call needs a deadline of its own"
        yield audit_pb2.VerifyTrailResponse(checked=2, total=5)
        verdict = audit_pb2.Verdict(
            intact=not self.broken_at,
            broken_at=self.broken_at,
            reason="hash differs" if self.broken_at else "",
            head=bytes(32),
            public_key=bytes([1] * 32),
        )
        yield audit_pb2.VerifyTrailResponse(checked=5, total=5, verdict=verdict)

    def ListCheckpoints(self, request: Any) -> Any:
        """Answer what is known of another server, and of one that is gone."""
        told = (
            audit_pb2.TrailCheckpoint(
                server=server,
                instance=bytes([n] * 8),
                epoch=n,
                commit=70 + n,
                sequence=50 + n,
                hash=bytes([n] * 32),
                public_key=bytes([n] * 32),
                time=moment(n),
            )
            for n, server in ((1, "ekm2"), (2, ""))
        )
        return audit_pb2.ListCheckpointsResponse(checkpoints=told)
