"""Sections of what people did with keys and backups: drills, destructions, exports, approvals. Pure."""

from __future__ import annotations

from qekm_cli.render import Plain
from qekm_cli.report import definitions
from qekm_cli.report.section import Section, Table, more, sentence, text, when

_SAID = ("record", "time", "event", "outcome", "who", "key", "what")
_COUNTED = (
    ("Deactivated", "key.deactivate"),
    ("Compromised", "key.compromise"),
    ("Condemned: to be destroyed after the waiting time", "key.condemn"),
    ("Kept after all", "key.keep"),
    ("Destroyed", "key.destroy"),
)


def sections(report: Plain) -> tuple[Section, ...]:
    """Return the sections of acts."""
    return _backups(report), _endings(report), _exports(report), _imports(report), _approvals(report)


def _backups(report: Plain) -> Section:
    about = definitions.BACKUPS
    rows = tuple(_backup(each) for each in report["backups"])
    facts = (("Last drill, ever", when(report["drill_time"]) if report["drill_time"] else "never"),)
    titles = ("name", "state", "made", "verified", "keys", "on", "in")
    table = Table(
        "Backups, the newest first", titles, rows, frozenset({4}), more(report["more_backups"], "backups")
    )
    tables = ((table,) if rows else ()) + _told("Drills and restores in the span", report["drills"])
    nothing = "" if rows else "There is no backup, and none was made in the span."
    if not report["drills"]["records"]:
        nothing = f"{nothing} Nobody drilled or restored in the span.".strip()
    return Section("Backups and drills", about, facts, (), tables, nothing)


def _backup(told: Plain) -> tuple[str, ...]:
    state = f"{told['state']}: {told['message']}" if told["message"] else told["state"]
    place = "another disk" if told["independent"] else "the store's disk"
    times = when(told["create_time"]), when(told["verify_time"])
    return (
        text(told["name"]),
        sentence(state),
        *times,
        text(told["key_count"]),
        place,
        sentence(told["target"]),
    )


def _endings(report: Plain) -> Section:
    about = definitions.ENDINGS
    facts = tuple((label, text(_times(report, event))) for label, event in _COUNTED)
    return _of_acts("Keys at their end", about, facts, report["endings"], "No key was ended in the span.")


def _exports(report: Plain) -> Section:
    about = definitions.EXPORTS
    facts = (("Keys that left", text(_times(report, "key.export", "intent"))),)
    return _of_acts("Keys given out", about, facts, report["exports"], "No key was exported in the span.")


def _imports(report: Plain) -> Section:
    about = definitions.IMPORTS
    facts = (
        ("Keys taken in", text(_times(report, "key.import"))),
        ("Keys that could not be", text(_times(report, "key.import", "failure"))),
    )
    return _of_acts("Keys taken in", about, facts, report["imports"], "No key was imported in the span.")


def _approvals(report: Plain) -> Section:
    about = definitions.APPROVALS
    rows = tuple(_approval(each) for each in report["approvals"])
    titles = ("request", "what", "asked by", "on", "state", "decided by", "on")
    if not rows:
        return Section("Approvals", about, nothing="Nobody asked for a second person in the span.")
    table = Table("Requests, the newest first", titles, rows, more=more(report["more_approvals"], "requests"))
    return Section("Approvals", about, tables=(table,))


def _approval(told: Plain) -> tuple[str, ...]:
    return (
        *(text(told["approval_id"]), sentence(told["summary"])),
        *(text(told["requester"]), when(told["create_time"]), text(told["state"])),
        *(text(told["decider"]), when(told["decide_time"])),
    )


def _times(report: Plain, event: str, outcome: str = "success") -> int:
    """Return how often an event came to an outcome."""
    found = (each for each in report["events"] if each["event"] == event and each["outcome"] == outcome)
    return sum(each["count"] for each in found)


def _of_acts(
    title: str, about: str, facts: tuple[tuple[str, str], ...], acts: Plain, nothing: str
) -> Section:
    return Section(
        title, about, facts, (), _told("Acts, the newest first", acts), "" if acts["records"] else nothing
    )


def _told(caption: str, acts: Plain) -> tuple[Table, ...]:
    """Return the table of acts, none for none."""
    rows = tuple(
        (
            *(text(each["sequence"]), when(each["time"]), text(each["event"]), text(each["outcome"])),
            *(text(each["actor"]), text(each["alias"]), sentence(each["message"])),
        )
        for each in acts["records"]
    )
    return (Table(caption, _SAID, rows, frozenset({0}), more(acts["more"], "acts")),) if rows else ()
