"""Sections of what happened in the span: what drives were given, and what failed. Pure."""

from __future__ import annotations

from collections import Counter

from qekm.explanations import title_of
from qekm_cli.render import Plain
from qekm_cli.report import definitions
from qekm_cli.report.plot import bars, columns
from qekm_cli.report.section import Figure, Section, Table, moment, more, said, sentence, text

_SERIES = (
    ("created", "new keys given, to write with"),
    ("read", "keys given, to read with"),
    ("clear", "told to write in clear, by policy"),
    ("refused", "requests refused"),
)
_FORMS = {"hour": "%d %b %H:00", "day": "%Y-%m-%d", "week": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}
_PASSWORDS = "rpc.Login", "rpc.UpdateOwnPassword"
_SLOTS = "rpc.UnlockKeystore", "rpc.TestSlot", "rpc.DrillBackup"
_MOST = 15
_COUNT = frozenset({1})


def sections(report: Plain) -> tuple[Section, ...]:
    """Return the sections of serving and of failures."""
    return _serving(report), _failures(report)


def _serving(report: Plain) -> Section:
    about = definitions.SERVING
    told, interval = report["serving"], report["interval"]
    sums = {name: sum(each[name] for each in told) for name, _ in _SERIES}
    facts = tuple((label.capitalize(), text(sums[name])) for name, label in _SERIES)
    if not any(sums.values()):
        return Section("Serving", about, facts, nothing="No drive was given or refused anything in the span.")
    names = [f"{moment(each['start_time']):{_FORMS[interval]}}" for each in told]
    panels = [
        (f"{label}, per {interval}: {sums[name]:,}", [each[name] for each in told]) for name, label in _SERIES
    ]
    title = f"Serving, per {interval} (UTC)"
    words = "; ".join(f"{label}: {sums[name]:,}" for name, label in _SERIES) + f", in {len(told)} intervals."
    rows = tuple(
        (name, *(text(each[series]) for series, _ in _SERIES))
        for name, each in zip(names, told, strict=True)
        if any(each[series] for series, _ in _SERIES)
    )
    titles = (f"{interval} from", "new", "read", "in clear", "refused")
    caption = f"{title}; those without any are left out"
    table = Table(caption, titles, rows, frozenset({1, 2, 3, 4}))
    return Section("Serving over time", about, facts, (Figure(columns(title, words, names, panels), table),))


def _failures(report: Plain) -> Section:
    about = definitions.FAILURES
    failed = [each for each in report["events"] if each["outcome"] == "failure"]
    count = Counter({each["event"]: 0 for each in failed})
    for each in failed:
        count[each["event"]] += each["count"]
    facts = (
        ("Failures in all", text(count.total())),
        ("Wrong command passwords", text(sum(count[name] for name in _PASSWORDS))),
        ("Accounts locked for them", text(count["account.lock"])),
        ("Slots of the keystore that did not open", text(sum(count[name] for name in _SLOTS))),
        ("Calls refused for who made them", text(count["rpc.refuse"])),
        ("Servers refused", text(count["peer.refuse"])),
        ("Connections to the SSL port refused since the start", text(report["ssl_refused"])),
    )
    if not failed:
        return Section("Failed tries", about, facts, nothing="Nothing failed in the span.")
    return Section("Failed tries", about, facts, (_kinds(failed),), _names(report))


def _kinds(failed: list[Plain]) -> Figure:
    named = [(" ".join(filter(None, (text(e["event"]), e["code"]))), e["count"]) for e in failed]
    title = "Failures by kind"
    drawn = named[:_MOST]
    shown = title if named == drawn else f"{title}, the {_MOST} most frequent of {len(named)}"
    plot = bars(shown, said(drawn, "failures"), "failures", drawn)
    rows = tuple(
        (
            text(e["event"]),
            text(e["code"]),
            sentence(title_of(e["code"]) if e["code"] else ""),
            text(e["count"]),
        )
        for e in failed
    )
    table = Table(title, ("event", "code", "meaning", "failures"), rows, frozenset({3}))
    return Figure(plot, table)


def _names(report: Plain) -> tuple[Table, ...]:
    actors, drives = report["failing_actors"], report["failing_drives"]
    found = (
        ("Failures by who failed", "who", actors, more(report["more_failing_actors"], "names")),
        ("Failures by drive", "serial", drives, more(report["more_failing_drives"], "serials")),
    )
    return tuple(
        Table(
            caption,
            (title, "failures"),
            tuple((text(each["name"]), text(each["count"])) for each in names),
            _COUNT,
            left,
        )
        for caption, title, names, left in found
        if names
    )
