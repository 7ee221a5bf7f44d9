"""ReportService: what has happened since the start, and in a span of time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from qekm.activity import Activity
from qekm.api.audit import record_of
from qekm.api.fields import stamp
from qekm.distribution import Distribution
from qekm.owners import Owners
from qekm.v1 import report_pb2 as pb
from qekm.v1.report_pb2_grpc import ReportServiceServicer


class Disk(Protocol):
    """What tells how large the store is (qekm.store.Store)."""

    @property
    def size(self) -> int:
        """Return bytes."""


class ReportServicer(ReportServiceServicer):
    """Thin: what was counted, as messages."""

    def __init__(self, owners: Owners, store: Disk, activity: Activity, now_us: Callable[[], int]) -> None:
        self._owners, self._store, self._activity = owners, store, activity
        self._now_us, self._start_us = now_us, now_us()

    async def GetActivity(self, request: pb.GetActivityRequest, context: Any) -> pb.GetActivityResponse:
        """Tell what the service has done since it started."""
        activity = self._activity
        size = await asyncio.to_thread(lambda: self._store.size)
        return pb.GetActivityResponse(
            start_time=stamp(self._start_us),
            time=stamp(self._now_us()),
            events=(
                pb.EventCount(event=event, outcome=int(outcome), code=code, count=count)  # type: ignore[arg-type]
                for (event, outcome, code), count in sorted(activity.events.items())
            ),
            answer_seconds=_distribution(activity.answers),
            commit_units=_distribution(activity.commit_units),
            commit_seconds=_distribution(activity.commit_seconds),
            session_count=self._owners.serving.session_count,
            failures=(record_of(place, record) for place, record in activity.failures),
            store_bytes=size,
            drives=(
                pb.DriveActivity(
                    serial=each.last.drive_serial,
                    given_count=each.given,
                    last=record_of(each.place, each.last),
                )
                for each in activity.drives
            ),
        )


def _distribution(found: Distribution) -> pb.Distribution:
    return pb.Distribution(bounds=found.bounds, counts=found.counts, sum=found.sum)
