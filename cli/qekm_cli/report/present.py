"""Sections of how things are now: what is degraded, certificates, the estate's servers. Pure."""

from __future__ import annotations

from qekm_cli.render import Plain
from qekm_cli.report import definitions
from qekm_cli.report.section import Section, Table, day, more, sentence, text, when

_SOON = 60  # days


def degraded(report: Plain) -> Section:
    """Return what is not as it should be."""
    about = definitions.DEGRADED
    rows = tuple((sentence(line),) for line in report["degraded"])
    if not rows:
        return Section("Degraded", about, nothing="Nothing: all is as it should be.")
    return Section("Degraded", about, tables=(Table("Degraded now", ("what",), rows),))


def certificates(report: Plain) -> Section:
    """Return the certificates in force and the days that are left."""
    about = definitions.CERTIFICATES
    found = report["certificates"]
    rows = tuple(
        (text(each["who"]), text(each["days"]), day(each["end_time"]), text(each["mark"])) for each in found
    )
    facts = (
        ("End within 60 days", text(sum(0 <= each["days"] < _SOON for each in found))),
        ("Have ended", text(sum(each["days"] < 0 for each in found))),
    )
    titles = ("role/name", "days left", "ends on", "serial or SHA-256")
    left = more(report["more_certificates"], "certificates")
    table = Table("Certificates", titles, rows, frozenset({1}), left)
    return Section(
        "Certificates", about, facts, (), (table,) if rows else (), "" if rows else "There is none."
    )


def peers(report: Plain) -> Section:
    """Return the servers of the estate, as this one sees them."""
    about = definitions.PEERS
    if not report["peers"]:
        return Section("Servers of the estate", about, nothing="This server is alone.")
    rows = tuple(_peer(each) for each in report["peers"])
    titles = (
        "name",
        "state",
        "role",
        "address",
        "link",
        "behind",
        "last heard",
        "last compared",
        "differences",
    )
    table = Table("Servers", titles, rows, frozenset({5, 8}))
    return Section("Servers of the estate", about, tables=(table,))


def _peer(told: Plain) -> tuple[str, ...]:
    link = "this server" if told["self"] else "connected" if told["connected"] else "not connected"
    return (
        *(text(told["name"]), text(told["state"]), text(told["role"]), text(told["address"]), link),
        *(text(told["lag_records"]), when(told["heard_time"])),
        *(when(told["compare_time"]), text(told["differences"])),
    )
