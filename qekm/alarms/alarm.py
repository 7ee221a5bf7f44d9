"""What an alarm is: what is wrong, how grave it is, since when, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How grave an alarm is; numbers as qekm.v1.Severity."""

    NOTICE = 1
    WARNING = 2
    CRITICAL = 3

    @property
    def word(self) -> str:
        """Return how it is written: notice, warning, critical."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that is, or was, not as it should be."""

    event: str  # of the trail's record
    subject: str  # which group, server, key, person …; empty where there is but one
    severity: Severity
    title: str
    text: str  # what the last record says
    advice: str  # a command, mostly
    begin_time_us: int
    last_time_us: int
    count: int = 1  # times since somebody was told last
    step: str = ""  # how far it has come, of what comes nearer: somebody is told of each step
    ended: bool = False  # it is well again
    sequence: int = 0  # place of the last record in the trail

    @property
    def key(self) -> tuple[str, str]:
        """Return what tells alarms apart."""
        return self.event, self.subject
