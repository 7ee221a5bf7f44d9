"""What the gateway has to tell the service besides steps: refusals, counted; ends of sessions; commands.

Everything is bounded: nobody who merely reaches the port can make it grow.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from qekm.dkp.codes import Code
from qekm.source import OTHERS
from qekm.v1.serving_pb2 import (
    ConfigureReport,
    DebugLine,
    DiagnoseReport,
    RefusalReport,
    ServeRequest,
    SessionEnd,
)
from qekm_gateway.faults import Ending

# Sources and codes counted apart; beyond it all sources are one, `others`.
_REFUSALS = 1_024
# Session ends kept while the service is away; it ends forgotten sessions by itself after 120 s.
_ENDS = 4_096
# Debug lines kept; who connects faster than they are sent is counted.
_LINES = 2_048
# Of each in one request; the service takes 1,024 together.
_PER_REQUEST = 256


class Reports:
    """Collects reports until a request takes them along."""

    def __init__(self) -> None:
        self._refusals: dict[tuple[str, Code], RefusalReport] = {}
        self._ends: deque[SessionEnd] = deque(maxlen=_ENDS)
        self._diagnoses: deque[DiagnoseReport] = deque(maxlen=4)
        self._configurations: deque[ConfigureReport] = deque(maxlen=4)
        self._lines: deque[DebugLine] = deque()
        self._dropped = 0  # debug lines
        self._due = self._lines_due = False

    @property
    def waiting(self) -> bool:
        """Tell whether there is something to send now."""
        told = self._ends or self._diagnoses or self._configurations
        return bool(told or (self._due and self._refusals) or (self._lines_due and self._lines))

    def refused(self, host: str, code: Code, drive_serial: str) -> None:
        """Count a refusal."""
        key = (host, code)
        if key not in self._refusals and len(self._refusals) >= _REFUSALS:
            key = (OTHERS, code)
        report = self._refusals.get(key)
        if report is None:
            report = self._refusals[key] = RefusalReport(source=key[0], code=code)
        report.count += 1
        if drive_serial:
            report.drive_serial = drive_serial

    def ended(self, session_id: int, source: str, ending: Ending) -> None:
        """Note the end of a session."""
        self._ends.append(
            SessionEnd(session_id=session_id, source=source, code=ending.code, message=ending.message)
        )

    def diagnosed(self, report: DiagnoseReport) -> None:
        """Note the results of a diagnosis."""
        self._diagnoses.append(report)

    def configured(self, report: ConfigureReport) -> None:
        """Note what came of a command of the present stream."""
        self._configurations.append(report)

    def stream_ended(self) -> None:
        """Forget the answers to commands: whoever gave them waits no more."""
        self._diagnoses.clear()
        self._configurations.clear()

    def noted(self, source: str, text: str) -> None:
        """Note a debug line."""
        if len(self._lines) < _LINES:
            self._lines.append(DebugLine(source=source, text=text))
        else:
            self._dropped += 1

    def release_lines(self) -> None:
        """Let the next requests take the debug lines along."""
        self._lines_due = True

    def release_refusals(self) -> None:
        """Let the next request take the refusals along: a second has passed since the first of them."""
        self._due = True

    def move_to(self, request: ServeRequest) -> None:
        """Put what is to be sent now into a request and forget it; `waiting` tells whether more is left."""
        if self._ends:
            count = min(len(self._ends), _PER_REQUEST)
            request.session_ends.extend([self._ends.popleft() for _ in range(count)])
        if self._diagnoses:
            request.diagnose_report.CopyFrom(self._diagnoses.popleft())
        if self._configurations:
            request.configure_report.CopyFrom(self._configurations.popleft())
        if self._due:
            keys = list(islice(self._refusals, _PER_REQUEST))
            request.refusals.extend([self._refusals.pop(key) for key in keys])
            self._due = bool(self._refusals)
        if self._lines_due:
            self._move_lines(request)

    def _move_lines(self, request: ServeRequest) -> None:
        count = min(len(self._lines), _PER_REQUEST)
        request.debug_lines.extend([self._lines.popleft() for _ in range(count)])
        if self._dropped:
            request.debug_lines.append(DebugLine(text=f"{self._dropped} lines of the gateway were dropped"))
            self._dropped = 0
        self._lines_due = bool(self._lines)
