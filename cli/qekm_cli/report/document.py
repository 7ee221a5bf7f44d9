"""A report as a document: what it begins with, and the order of its sections. Pure."""

from __future__ import annotations

from qekm_cli.render import Plain
from qekm_cli.report import acts, definitions, happenings, holdings, present
from qekm_cli.report.section import Document, Section, sentence, text, when


def document_of(report: Plain) -> Document:
    """Return the document of a report, a message of the service as plain values."""
    verdict = report["trail"]["verdict"]
    checked = report["trail"]["checked"]
    found = f"The audit trail is intact: all {checked:,} records were checked for this report."
    if not verdict["intact"]:
        broken = text(verdict["broken_at"])
        found = f"THE AUDIT TRAIL IS BROKEN at record {broken}: {text(verdict['reason'])}."
    server = report["server"]
    return Document(
        f"Report of the key manager {text(server['name'])}",
        (
            f"From {when(report['since'])} to {when(report['until'])} (not included). All times are UTC.",
            f"Made on {when(report['make_time'])} for {text(report['maker'])} by Q-EKM {server['version']}. "
            "That it was made is in the audit trail (rpc.GetReport).",
        ),
        found,
        verdict["intact"],
        (
            _server(server, report["trail"]),
            _trail(report),
            present.degraded(report),
            *holdings.sections(report),
            *happenings.sections(report),
            *acts.sections(report),
            present.certificates(report),
            present.peers(report),
        ),
    )


def _server(server: Plain, trail: Plain) -> Section:
    rule = "on: a second person approves" if server["two_person"] else "OFF: one person is enough"
    return Section(
        "Estate and server",
        definitions.SERVER,
        (
            ("Server", text(server["name"])),
            ("Version", text(server["version"])),
            ("Runs since", when(server["start_time"])),
            ("Store since", when(trail["first_time"])),
            ("Epoch of the store", text(server["epoch"])),
            ("Estate", text(server["estate_id"])),
            ("Anchor (SHA-256 that drives know)", text(server["anchor"])),
            ("Two-person rule", rule),
            ("A new key is given out once it is in (keystore.protect)", text(server["protect"])),
            ("Gives new keys", f"no: {sentence(server['read_only'])}" if server["read_only"] else "yes"),
        ),
    )


def _trail(report: Plain) -> Section:
    trail, verdict = report["trail"], report["trail"]["verdict"]
    first, last = trail["first_sequence"], trail["last_sequence"]
    return Section(
        "Audit trail",
        definitions.TRAIL,
        (
            ("Verdict", "intact" if verdict["intact"] else f"broken at record {text(verdict['broken_at'])}"),
            *([("Reason", sentence(verdict["reason"]))] if verdict["reason"] else []),
            ("Records checked", text(trail["checked"])),
            ("Head (SHA-256 of the last record checked)", text(verdict["head"])),
            ("Public key of the signatures (Ed25519)", text(verdict["public_key"])),
            ("Records of the span", text(trail["record_count"])),
            ("First and last of them", f"{text(first)} to {text(last)}" if first else "there is none"),
        ),
    )
