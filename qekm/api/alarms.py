"""AlarmsService: what is not as it should be, and whether somebody hears of it."""

from __future__ import annotations

from typing import Any

from qekm.alarming import Alarming
from qekm.alarms.alarm import Alarm
from qekm.api.fields import stamp
from qekm.api.journal import Journal
from qekm.api.paging import Paged, cut
from qekm.model import Outcome
from qekm.v1 import alarms_pb2 as pb
from qekm.v1.alarms_pb2_grpc import AlarmsServiceServicer


class AlarmsServicer(AlarmsServiceServicer):
    """Thin: the conversation knows, the journal records a test."""

    def __init__(self, alarming: Alarming, journal: Journal) -> None:
        self._alarming, self._journal = alarming, journal

    async def ListAlarms(self, request: pb.ListAlarmsRequest, context: Any) -> pb.ListAlarmsResponse:
        """List what stands, the gravest first."""
        page = Paged.of(request)
        found = list(self._alarming.standing)
        start = next((i for i, each in enumerate(found, 1) if _place(each) == page.text), 0)
        rows, token = cut(page, found[start : start + page.size + 1], _place)
        return pb.ListAlarmsResponse(alarms=map(_to_proto, rows), next_page_token=token)

    async def TestAlarms(self, request: pb.TestAlarmsRequest, context: Any) -> pb.TestAlarmsResponse:
        """Send a test to every receiver and tell how it ended."""
        results = await self._alarming.test()
        failed = [f"{name}: {stage}: {reason}" for name, stage, reason in results if stage]
        told = "; ".join(failed) or f"{len(results)} receivers"
        outcome = Outcome.FAILURE if failed else Outcome.SUCCESS
        await self._journal.commit("TestAlarms", (), message=told, outcome=outcome)
        tests = (pb.AlarmTest(receiver=name, failed_step=stage, message=why) for name, stage, why in results)
        return pb.TestAlarmsResponse(results=tests)


def _place(alarm: Alarm) -> str:
    return "\n".join(alarm.key)


def _to_proto(alarm: Alarm) -> pb.Alarm:
    return pb.Alarm(
        event=alarm.event,
        subject=alarm.subject,
        severity=pb.Severity.ValueType(alarm.severity),
        title=alarm.title,
        text=alarm.text,
        advice=alarm.advice,
        begin_time=stamp(alarm.begin_time_us),
        last_time=stamp(alarm.last_time_us),
        sequence=alarm.sequence,
    )
