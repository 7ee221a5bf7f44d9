"""ReportService: what has happened since the start, and in a span of time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from qekm.activity import Activity
from qekm.api.audit import AuditServicer, record_of
from qekm.api.fields import stamp, time_of
from qekm.api.guard import caller
from qekm.api.journal import Journal
from qekm.api.reported import Present
from qekm.api.reporting import Checked, count
from qekm.clock import utc
from qekm.distribution import Distribution
from qekm.errors import BadArgument
from qekm.intervals import DAY_US
from qekm.model import AuditRecord, Role
from qekm.store.summary import Summary
from qekm.v1 import audit_pb2
from qekm.v1 import report_pb2 as pb
from qekm.v1.report_pb2_grpc import ReportServiceServicer

T = TypeVar("T")
_DEFAULT_US = 30 * DAY_US  # a span whose begin is not told


class Disk(Protocol):
    """What tells how large the store is, and counts what is in it (qekm.store.Store)."""

    @property
    def size(self) -> int:
        """Return bytes."""

    @property
    def summary(self) -> Summary:
        """Return what counts it, in a thread."""


class ReportServicer(ReportServiceServicer):
    """Thin: what was counted, as messages."""

    def __init__(
        self,
        present: Present,
        store: Disk,
        activity: Activity,
        audit: AuditServicer,
        journal: Journal,
        now_us: Callable[[], int],
    ) -> None:
        """Take the owners, the store and what counts, and what checks the trail for a report."""
        self._present, self._store, self._activity = present, store, activity
        self._audit, self._journal, self._now_us = audit, journal, now_us
        self._making = asyncio.Lock()  # one report at a time: it takes a core

    async def GetActivity(self, request: pb.GetActivityRequest, context: Any) -> pb.GetActivityResponse:
        """Tell what the service has done since it started."""
        activity = self._activity
        shown = _shown if caller().role is Role.OPERATOR else record_of
        size = await asyncio.to_thread(lambda: self._store.size)
        return pb.GetActivityResponse(
            start_time=stamp(self._present.start_us),
            time=stamp(self._now_us()),
            events=(
                pb.EventCount(event=event, outcome=int(outcome), code=code, count=count)  # type: ignore[arg-type]
                for (event, outcome, code), count in sorted(activity.events.items())
            ),
            answer_seconds=_distribution(activity.answers),
            commit_units=_distribution(activity.commit_units),
            commit_seconds=_distribution(activity.commit_seconds),
            session_count=self._present.owners.serving.session_count,
            failures=(shown(place, record) for place, record in activity.failures),
            store_bytes=size,
            drives=(
                pb.DriveActivity(
                    serial=each.last.drive_serial,
                    given_count=each.given,
                    last=shown(each.place, each.last),
                )
                for each in activity.drives
            ),
        )

    async def GetReport(
        self, request: pb.GetReportRequest, context: Any
    ) -> AsyncIterator[pb.GetReportResponse]:
        """Check the trail, count what happened in a span, and record that somebody asked. BadArgument."""
        now_us = self._now_us()
        since_us, until_us = _span(request, now_us)
        async with self._making:
            checked = Checked(audit_pb2.Verdict(), 0, 0)
            async with aclosing(self._audit.VerifyTrail(audit_pb2.VerifyTrailRequest(), context)) as answers:
                async for answer in answers:
                    yield pb.GetReportResponse(checked=answer.checked, total=answer.total)
                    checked = Checked(answer.verdict, answer.checked, answer.total)
            report, exchanges = await _uninterrupted(
                count, self._store.summary, checked, since_us, until_us, now_us
            )
            report.maker = caller().actor
            self._present.tell(report, exchanges, now_us)
        await self._journal.commit("GetReport", (), message=_told(report))
        yield pb.GetReportResponse(checked=checked.checked, total=checked.head, report=report)


def _shown(place: int, record: AuditRecord) -> audit_pb2.Record:
    """Return of a record what an operator may know, who may not read the trail: what happened to a drive."""
    return record_of(
        place, replace(record, actor="", message="" if not record.drive_serial else record.message)
    )


async def _uninterrupted(work: Callable[..., T], *words: Any) -> T:
    """Work in a thread and return when that is done, even if the caller is gone: it cannot be ended there."""
    task = asyncio.ensure_future(asyncio.to_thread(work, *words))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _span(request: pb.GetReportRequest, now_us: int) -> tuple[int, int]:
    """Return begin and end of the span that is asked for; BadArgument for none."""
    until_us = min(time_of(request.until, "until"), now_us) if request.HasField("until") else now_us
    since_us = time_of(request.since, "since") if request.HasField("since") else until_us - _DEFAULT_US
    since_us = max(since_us, 1)  # 0 means never
    if since_us >= until_us:
        raise BadArgument(
            f"the span ends at {utc(until_us)}, before it begins at {utc(since_us)}", field="since"
        )
    return since_us, until_us


def _told(report: pb.Report) -> str:
    """Return what the trail says of a report that was made."""
    trail = report.trail
    verdict = "intact" if trail.verdict.intact else f"broken at record {trail.verdict.broken_at}"
    since, until = (utc(each.ToMicroseconds()) for each in (report.since, report.until))
    return f"{trail.record_count} records from {since} to {until}; the trail is {verdict}"


def _distribution(found: Distribution) -> pb.Distribution:
    return pb.Distribution(bounds=found.bounds, counts=found.counts, sum=found.sum)
