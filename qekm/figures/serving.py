"""What was done for drives and callers since the start, how long it took, and what is under way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sized
from typing import Protocol

from qekm.activity import Activity, Kind
from qekm.audit import KEY_CREATED, KEY_SERVED
from qekm.dkp.codes import Code
from qekm.families import MOST, OTHERS, Family, counter, histogram, one
from qekm.model import Outcome

REFUSALS = ("drive.refuse", "session.end", "rpc.refuse")
# Told from the start on: of a counter that begins with its first event nobody sees that event.
_KNOWN = (
    *((event, Outcome.INTENT) for event in (KEY_CREATED, KEY_SERVED)),
    *(("key.install", outcome) for outcome in (Outcome.SUCCESS, Outcome.FAILURE)),
    *((event, Outcome.FAILURE) for event in ("key.suspect", "key.damaged")),
    *(("backup.create", outcome) for outcome in Outcome),
    *(("backup.drill", outcome) for outcome in (Outcome.SUCCESS, Outcome.FAILURE)),
)


class Conversations(Protocol):
    """Those with drives (qekm.serving.Serving)."""

    @property
    def session_count(self) -> int:
        """Return how many are under way."""


def activity(done: Activity) -> Iterator[Family]:
    """Yield what the trail tells, and how long answers and commits took."""
    events = done.events
    outcomes = ((key, float(count)) for key, count in _by_outcome(events).items())
    yield counter("qekm_events", "Records of the audit trail.", outcomes, "event", "outcome")
    refused = ((key, float(count)) for key, count in _by_code(events).items())
    yield counter("qekm_refusals", "Refusals by code or reason.", refused, "event", "code")
    yield histogram("qekm_answer_seconds", "From frames of drives to their answers.", done.answers)
    yield histogram("qekm_commit_units", "Units of changes in a commit.", done.commit_units)
    yield histogram("qekm_commit_seconds", "How long a commit took.", done.commit_seconds)


def conversations(serving: Conversations, gateways: Sized) -> Iterator[Family]:
    """Yield who is connected."""
    yield one("qekm_drive_sessions", "Conversations with drives.", serving.session_count)
    yield one("qekm_gateways", "Streams of gateways.", len(gateways))


def _by_outcome(events: Mapping[Kind, int]) -> Counter[tuple[str, str]]:
    found = Counter({(event, outcome.name.lower()): 0 for event, outcome in _KNOWN})
    for (event, outcome, _), count in events.items():
        found[event, outcome.name.lower()] += count
    return found


def _by_code(events: Mapping[Kind, int]) -> Counter[tuple[str, str]]:
    """Return refusals; a drive's own codes are whatever it says, so those beyond MOST are one."""
    found = Counter({(REFUSALS[0], code.name): 0 for code in Code})
    for (event, outcome, code), count in events.items():
        if event in REFUSALS and outcome is Outcome.FAILURE:
            key = event, code or "none"
            found[key if key in found or len(found) < MOST else (event, OTHERS)] += count
    return found
