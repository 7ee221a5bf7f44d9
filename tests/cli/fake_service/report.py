"""The fake of the report service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qekm.errors import BadArgument
from qekm.v1 import report_pb2


class FakeReport:
    """Tells the report that a test gives it, half of the trail first."""

    def __init__(self) -> None:
        self.requests: list[report_pb2.GetReportRequest] = []
        self.report: report_pb2.Report | None = None

    def GetReport(self, request: Any, timeout: float | None = None) -> Iterator[Any]:
        """Tell how far the check is, then the report; BadArgument for a span that is none."""
        assert timeout and timeout > 30, "a long call needs a deadline of its own"
        self.requests.append(request)
        if request.HasField("until") and request.since.seconds >= request.until.seconds:
            raise BadArgument("the span ends before it begins", field="since")
        yield report_pb2.GetReportResponse(checked=493_827, total=987_654)
        yield report_pb2.GetReportResponse(checked=987_654, total=987_654, report=self.report)
