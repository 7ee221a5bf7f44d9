"""What a report counts in a store: the trail up to the record that was checked last, keys, cartridges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from qekm.api.audit import record_of
from qekm.api.fields import stamp
from qekm.intervals import DAY_US, HOUR_US, begin, begins, interval_of
from qekm.model import KeyState, Outcome
from qekm.store.summary import Happened, Made, Span, Summary
from qekm.v1 import audit_pb2, keystore_pb2
from qekm.v1 import report_pb2 as pb

MOST_EVENTS, MOST_NAMES, MOST_ACTS, MOST_GROUPS, MOST_SHARED = 300, 25, 50, 100, 50
MOST_MONTHS, MOST_CARTRIDGES = 120, 20
_DAYS = (0, 30, 90, 365, 3 * 365, 10 * 365, 0)  # ages; the last one has no end
_SERVED = {
    ("key.create", Outcome.INTENT): "created",
    ("key.serve", Outcome.INTENT): "read",
    ("key.none", Outcome.INTENT): "clear",
    ("drive.refuse", Outcome.FAILURE): "refused",
}
OF_DRIVES = {"key.create": "created", "key.serve": "read", "drive.refuse": "refused"}
_ACTS = {
    "drills": ("backup.drill", "server.restore", "store.adopt"),
    "endings": (
        *("rpc.DeactivateKeys", "rpc.CompromiseKeys", "rpc.DestroyKeys", "rpc.KeepKeys"),
        "key.destroy",
    ),
    "exports": ("rpc.ExportKeys",),
    "imports": ("rpc.ImportKeys",),
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check of the trail found: the verdict, how many records it took, and the last one of all."""

    verdict: audit_pb2.Verdict
    checked: int
    head: int


def count(
    summary: Summary, checked: Checked, since_us: int, until_us: int, now_us: int
) -> tuple[pb.Report, dict[str, Counter[str]]]:
    """Return what is in the store, and by serial what drives did in the span. Takes time: from a thread."""
    span = summary.span(since_us, until_us, checked.head)
    report = pb.Report(since=stamp(since_us), until=stamp(until_us), make_time=stamp(now_us))
    first_us = summary.first_us()
    report.trail.CopyFrom(_trail(span, first_us, checked))
    _count_events(report, summary, span, max(since_us, min(first_us, span.earliest_us, until_us - 1)))
    _count_names(report, summary, span)
    for field, events in _ACTS.items():
        links, more = summary.acts(span, events, MOST_ACTS)
        records = (record_of(link.sequence, link.record) for link in links)
        getattr(report, field).CopyFrom(pb.Acts(records=records, more=more))
    report.keys.CopyFrom(_keys(summary.made(DAY_US), now_us))
    report.cartridges.CopyFrom(_cartridges(summary))
    drives: dict[str, Counter[str]] = {}
    for serial, event, times in summary.of_drives(span, OF_DRIVES):
        drives.setdefault(serial, Counter())[OF_DRIVES[event]] += times
    return report, drives


def _trail(span: Span, first_us: int, checked: Checked) -> pb.ReportedTrail:
    return pb.ReportedTrail(
        first_sequence=span.first,
        last_sequence=span.last,
        record_count=span.records,
        first_time=stamp(first_us),
        checked=checked.checked,
        verdict=checked.verdict,
    )


def _count_events(report: pb.Report, summary: Summary, span: Span, since_us: int) -> None:
    """Put events, and what drives were given and refused, into a report; the latter from `since_us` on."""
    report.interval = interval_of(span.until_us - since_us)
    width_us = HOUR_US if report.interval == "hour" else DAY_US
    found = summary.happened(span, width_us)
    events: Counter[tuple[str, int, str]] = Counter()
    for each in found:
        events[each.event, each.outcome, each.code] += each.count
    for (event, outcome, code), times in sorted(events.items(), key=lambda one: (-one[1], one[0])):
        if len(report.events) < MOST_EVENTS:
            report.events.add(
                event=event, outcome=audit_pb2.Outcome.ValueType(outcome), code=code, count=times
            )
    report.serving.extend(_serving(found, width_us, report.interval, since_us, span.until_us))


def _serving(
    found: Iterable[Happened], width_us: int, interval: str, since_us: int, until_us: int
) -> Iterable[pb.ServingInterval]:
    told = {each: pb.ServingInterval(start_time=stamp(each)) for each in begins(interval, since_us, until_us)}
    for each in found:
        if field := _SERVED.get((each.event, each.outcome)):
            place = told[begin(interval, max(each.interval * width_us, since_us))]
            setattr(place, field, getattr(place, field) + each.count)
    return told.values()


def _count_names(report: pb.Report, summary: Summary, span: Span) -> None:
    actors = summary.failing(span, "actor", MOST_NAMES)
    drives = summary.failing(span, "drive_serial", MOST_NAMES)
    report.failing_actors.extend(pb.NameCount(name=name, count=times) for name, times in actors.names)
    report.failing_drives.extend(pb.NameCount(name=name, count=times) for name, times in drives.names)
    report.more_failing_actors, report.more_failing_drives = actors.more, drives.more


def _keys(made: list[Made], now_us: int) -> pb.ReportedKeys:
    """Return the keys by group, state, age and month of their making."""
    groups: dict[str, Counter[KeyState]] = {}
    months: Counter[int] = Counter()
    ages = [0] * (len(_DAYS) - 1)
    for each in made:
        groups.setdefault(each.group, Counter())[each.state] += each.count
        months[begin("month", each.interval * DAY_US)] += each.count
        if each.state is not KeyState.DESTROYED:
            days = now_us // DAY_US - each.interval
            ages[max(0, sum(days >= bound for bound in _DAYS[1:-1]))] += each.count
    largest = sorted(groups.items(), key=lambda one: (-one[1].total(), one[0]))
    shown = list(begins("month", min(months), now_us))[-MOST_MONTHS:] if months else []
    return pb.ReportedKeys(
        counts=_counts(sum((counts for _, counts in largest), Counter())),
        groups=(pb.GroupCount(group=name, counts=_counts(counts)) for name, counts in largest[:MOST_GROUPS]),
        more_groups=len(largest[MOST_GROUPS:]),
        more_keys=sum(counts.total() for _, counts in largest[MOST_GROUPS:]),
        months=(pb.MonthCount(start_time=stamp(each), count=months[each]) for each in shown),
        before=months.total() - sum(months[each] for each in shown),
        ages=(
            pb.AgeCount(from_days=least, to_days=end, count=keys)
            for least, end, keys in zip(_DAYS, _DAYS[1:], ages, strict=False)
        ),
    )


def _counts(counts: Counter[KeyState]) -> Iterable[keystore_pb2.KeyCount]:
    return [
        keystore_pb2.KeyCount(state=keystore_pb2.KeyState.ValueType(state), count=counts[state])
        for state in KeyState
        if counts[state]
    ]


def _cartridges(summary: Summary) -> pb.ReportedCartridges:
    """Return how keys are spread over cartridges."""
    spread: Counter[int] = Counter()
    for cartridges, keys in summary.spread():
        spread[min(cartridges, MOST_CARTRIDGES)] += keys
    several = summary.several(MOST_SHARED)
    return pb.ReportedCartridges(
        spread=(pb.Spread(cartridges=number, keys=spread[number]) for number in sorted(spread)),
        shared=(
            pb.SharedKey(
                alias=each.alias,
                cartridges=each.cartridges,
                first_time=stamp(each.first_us),
                last_time=stamp(each.last_us),
            )
            for each in several
        ),
        more_shared=spread.total() - spread[1] - len(several),
        cartridge_count=summary.cartridges(),
    )
