"""What happened between two looks at the service: differences of its counts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from qekm_cli.render import Plain

# What is counted, by events of the trail (docs/audit-log.md). A key counts when it is about to leave.
WRITTEN, READ, REFUSED = "written", "read", "refused"
_KINDS = {
    ("key.create", "intent"): WRITTEN,
    ("key.serve", "intent"): READ,
    ("drive.refuse", "failure"): REFUSED,
}
HISTORY = 120  # looks that are remembered


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted up to a moment. at_s: the service's own time; answers: a histogram."""

    start_time: str
    at_s: float
    events: dict[str, int]
    bounds: Sequence[float]
    answers: Sequence[int]

    @classmethod
    def of(cls, activity: Plain, at_s: float) -> Counts:
        """Take what the service said."""
        events = dict.fromkeys((WRITTEN, READ, REFUSED), 0)
        for each in activity["events"]:
            kind = _KINDS.get((each["event"], each["outcome"]))
            if kind:
                events[kind] += each["count"]
        found = activity["answer_seconds"] or {"bounds": [], "counts": []}
        return cls(activity["start_time"], at_s, events, found["bounds"], found["counts"])


@dataclass(slots=True)
class Rates:
    """The looks so far; counts that went back are those of a service that started anew."""

    looks: list[Counts] = field(default_factory=list)

    def add(self, counts: Counts) -> None:
        """Take a look; what was before a restart counts no more."""
        last = self.looks[-1] if self.looks else counts
        if counts.start_time != last.start_time:
            self.looks.clear()
        elif self.looks and counts.at_s <= last.at_s:
            return  # its clock was put back: nothing can be said per second
        self.looks.append(counts)
        del self.looks[:-HISTORY]

    def now(self, kind: str) -> float:
        """Return events per second between the last two looks."""
        history = self.history(kind)
        return history[-1] if history else 0.0

    def history(self, kind: str) -> list[float]:
        """Return events per second between each two looks, oldest first."""
        pairs = zip(self.looks, self.looks[1:], strict=False)
        return [(b.events[kind] - a.events[kind]) / (b.at_s - a.at_s) for a, b in pairs]

    def answered_within_s(self, share: float) -> float | None:
        """Return the bound within which that share of batches was answered; None for none, inf above all."""
        if len(self.looks) < 2:
            return None
        first, last = self.looks[0], self.looks[-1]
        counts = [b - a for a, b in zip(first.answers, last.answers, strict=True)]
        return quantile(counts, last.bounds, share)


def quantile(counts: Iterable[int], bounds: Sequence[float], share: float) -> float | None:
    """Return the upper bound of the bucket in which a share of all lies; None if there are none."""
    found = list(counts)
    wanted, seen = share * sum(found), 0
    if not sum(found):
        return None
    for count, bound in zip(found, [*bounds, float("inf")], strict=True):
        seen += count
        if seen >= wanted:
            return bound
    return float("inf")
