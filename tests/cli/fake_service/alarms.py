"""The fake of the alarms service."""

from __future__ import annotations

from typing import Any

from qekm.v1 import alarms_pb2 as pb

from .parts import moment, page_of


class FakeAlarms:
    """What stands, and how tests end."""

    def __init__(self) -> None:
        more = {"begin_time": moment(), "last_time": moment(), "sequence": 7}
        self.alarms = [
            pb.Alarm(
                event="peer.silent",
                subject="b",
                severity=pb.SEVERITY_CRITICAL,
                title="a server is silent",
                text="server b is silent\x1b[2J",
                advice="qekm peers status",
                **more,
            ),
            *(
                pb.Alarm(
                    event="group.low", subject=name, severity=pb.SEVERITY_WARNING, title="few keys", **more
                )
                for name in ("g", "h")
            ),
        ]
        self.results = [pb.AlarmTest(receiver="mail server mail.example:25")]

    def ListAlarms(self, asked: Any) -> Any:
        """Answer a page."""
        alarms, token = page_of(self.alarms, asked)
        return pb.ListAlarmsResponse(alarms=alarms, next_page_token=token)

    def TestAlarms(self, asked: Any, timeout: float | None = None) -> Any:
        """Tell the planned results."""
        return pb.TestAlarmsResponse(results=self.results)
