"""Own the alarms that stand: begun and ended by records, told once, told again after a while. Memory only.

What comes and goes is not told each time: who was told of an alarm hears of the same one again after a rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from qekm.alarms.alarm import Alarm, Severity
from qekm.alarms.rules import Judgement, judge
from qekm.model import AuditRecord

REST_US = 15 * 60 * 1_000_000  # between two messages of one alarm that comes and goes
MOST = 1_000  # that stand; a flood of others is counted
Key = tuple[str, str]


@dataclass(slots=True)
class _Entry:
    alarm: Alarm
    lasts: bool  # until a record ends it; else it happened at a moment
    told_us: int = 0


class Standing:
    """What is not as it should be, by event and subject; made and used in one event loop."""

    def __init__(self, level: Callable[[], Severity], repeat_us: Callable[[], int]) -> None:
        """level: the least that somebody is told of. repeat_us: how long until he is told again."""
        self._level, self._repeat_us = level, repeat_us
        self._entries: dict[Key, _Entry] = {}
        self._rests: dict[Key, int] = {}  # not told again before
        self.dropped = 0  # alarms that there was no room for

    def __iter__(self) -> Iterator[Alarm]:
        """Iterate over what stands, the gravest and newest first."""
        standing = (each.alarm for each in self._entries.values() if not each.alarm.ended)
        return iter(sorted(standing, key=lambda each: (-each.severity, -each.last_time_us)))

    def take(self, record: AuditRecord, sequence: int = 0) -> None:
        """Take a record of the trail."""
        found = judge(record)
        if found is None:
            return
        key = found.rule.event, found.subject
        entry = self._entries.get(key)
        if found.ended:
            if entry is not None:
                last = replace(entry.alarm, ended=True, text=record.message, last_time_us=record.time_us)
                entry.alarm = replace(last, sequence=sequence)
            return
        if entry is None and len(self._entries) >= MOST:
            self._make_room()
        self._entries[key] = self._begun(entry, found, key, record, sequence)

    def due(self, now_us: int) -> list[Alarm]:
        """Return what somebody is to be told of now, the gravest first; this counts as told."""
        self._rests = {key: until_us for key, until_us in self._rests.items() if until_us > now_us}
        told = []
        for key, entry in list(self._entries.items()):
            alarm = entry.alarm
            is_heard = alarm.severity >= self._level()
            if is_heard and self._is_due(key, entry, now_us):
                told.append(alarm)
                self._rests[key] = now_us + REST_US
                entry.told_us, entry.alarm = now_us, replace(alarm, count=0)
            if alarm.ended or self._is_over(entry, now_us):
                del self._entries[key]
        return sorted(told, key=lambda each: (-each.severity, each.begin_time_us))

    def _make_room(self) -> None:
        """Forget the least of what happened at a moment; what lasts is never so much."""
        order = sorted(self._entries, key=lambda key: self._weight(self._entries[key]))
        del self._entries[order[0]]
        self.dropped += 1

    @staticmethod
    def _weight(entry: _Entry) -> tuple[bool, Severity, int]:
        return entry.lasts, entry.alarm.severity, entry.alarm.last_time_us

    def _is_due(self, key: Key, entry: _Entry, now_us: int) -> bool:
        if entry.alarm.ended:
            return entry.told_us > 0  # who was not told of it need not hear that it is over
        if not entry.told_us:
            return key not in self._rests
        is_news = entry.lasts or entry.alarm.count > 0
        return is_news and now_us - entry.told_us >= self._repeat_us()

    def _is_over(self, entry: _Entry, now_us: int) -> bool:
        return not entry.lasts and now_us - entry.alarm.last_time_us >= self._repeat_us()

    @staticmethod
    def _begun(
        entry: _Entry | None, found: Judgement, key: Key, record: AuditRecord, sequence: int
    ) -> _Entry:
        rule = found.rule
        step = record.code if rule.codes or rule.well else ""
        alarm = Alarm(
            *key,
            rule.severity,
            rule.title,
            record.message,
            rule.advise(found.subject),
            entry.alarm.begin_time_us if entry else record.time_us,
            record.time_us,
            record.count + (entry.alarm.count if entry else 0),
            step,
            sequence=sequence,
        )
        told_us = entry.told_us if entry and entry.alarm.step == step else 0
        return _Entry(alarm, bool(rule.well), told_us)
