"""Count what the service does since its start: a view of the trail, and of how long drives waited.

Pure; told of in the event loop and in the writer's thread, read in the event loop.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from qekm.audit import KEY_CREATED, KEY_SERVED
from qekm.distribution import SECONDS, UNITS, Distribution
from qekm.model import AuditRecord, Outcome

MOST_FAILURES, MOST_DRIVES = 32, 64
MOST_CODES = 100  # of an event: what a drive or a gateway says is bounded, and hides no other event

GIVEN = frozenset({KEY_CREATED, KEY_SERVED})

Kind = tuple[str, Outcome, str]
"""Event, outcome and code."""


@dataclass(slots=True)
class AtWork:
    """What was told of a drive: keys that were about to be given, its last record and that one's place."""

    given: int
    place: int
    last: AuditRecord


class Activity:
    """What happened since the start. Counts only go up."""

    def __init__(self) -> None:
        self.answers = Distribution(SECONDS)
        self.commit_units, self.commit_seconds = Distribution(UNITS), Distribution(SECONDS)
        self._events: Counter[Kind] = Counter()
        self._codes: Counter[tuple[str, Outcome]] = Counter()
        self._drives: dict[str, AtWork] = {}  # told of last comes last
        self._failures: deque[tuple[int, AuditRecord]] = deque(maxlen=MOST_FAILURES)
        self._lock = Lock()

    def committed(self, first: int, records: Sequence[AuditRecord]) -> None:
        """Count records that are in the trail from place `first` on; from the writer's thread."""
        with self._lock:
            for place, record in enumerate(records, first):
                self._events[self._kind(record)] += record.count
                if record.drive_serial:
                    self._see(place, record)
                if record.outcome is Outcome.FAILURE:
                    self._failures.append((place, record))

    def _kind(self, record: AuditRecord) -> Kind:
        """Return what a record is counted as: without its code, once too many of its event are told apart."""
        kind, event = (record.event, record.outcome, record.code), (record.event, record.outcome)
        if kind in self._events:
            return kind
        self._codes[event] += 1
        return kind if self._codes[event] <= MOST_CODES else (*event, "")

    def _see(self, place: int, record: AuditRecord) -> None:
        """Note what a drive did, and forget the one of which nothing was told for longest."""
        before = self._drives.pop(record.drive_serial, None)
        given = (before.given if before else 0) + (record.event in GIVEN and record.outcome is Outcome.INTENT)
        self._drives[record.drive_serial] = AtWork(given, place, record)
        if len(self._drives) > MOST_DRIVES:
            del self._drives[next(iter(self._drives))]

    def wrote(self, units: int, seconds: float) -> None:
        """Count a commit; from the writer's thread."""
        self.commit_units.add(units)
        self.commit_seconds.add(seconds)

    def answered(self, seconds: float) -> None:
        """Count a batch of drives' frames whose answers are on their way."""
        self.answers.add(seconds)

    @property
    def events(self) -> Mapping[Kind, int]:
        """Return how often each event came to each outcome."""
        with self._lock:
            return dict(self._events)

    @property
    def drives(self) -> list[AtWork]:
        """Return what was told of drives, newest first."""
        with self._lock:
            return list(reversed(self._drives.values()))

    @property
    def failures(self) -> list[tuple[int, AuditRecord]]:
        """Return the last failures with their places in the trail, newest first."""
        with self._lock:
            return list(reversed(self._failures))
