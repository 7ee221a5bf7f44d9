"""The audit log's record: how one record of the trail is written in the product family's format.

    AuditRecordType:[
      timestamp=2026-01-31T12:00:00.000000Z
      event source=qekm-server/key
      outcome=[result=successful]
      ...
      ]

The first line begins in column 1, every other one with two spaces; one attribute a line, name=value, the
value escaped (qekm/logs/escaping.py). What came over a wire is a value, and neither ends nor begins a record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qekm.explanations import title_of
from qekm.logs.escaping import escape
from qekm.logs.events import event_of
from qekm.logs.stamp import stamp
from qekm.model import AuditRecord, Outcome

BEGIN = b"AuditRecordType:["
END = b"\n  ]\n"
RESULTS = {Outcome.INTENT: "intended", Outcome.SUCCESS: "successful", Outcome.FAILURE: "unsuccessful"}
_PROOFS = {"rpc.refuse": "certificate", "rpc.Login": "command password"}  # of the others: a slot's
_NAMED = {"key": "alias", "drive": "drive_serial"}  # resources with a name of their own in the trail

Attribute = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """A record with its place in the trail (0: one of the log itself) and the vendor of its drive."""

    sequence: int
    record: AuditRecord
    vendor: str = ""


def text_of(told: Told) -> bytes:
    """Return a record as the audit log has it."""
    lines = [f"  {name}={escape(value)}\n" for name, value in attributes(told)]
    return f"AuditRecordType:[\n{''.join(lines)}  ]\n".encode()


def attributes(told: Told) -> Iterator[Attribute]:
    """Yield the attributes of a record in order: those of every record, those of its type, the drive's."""
    record = told.record
    event = event_of(record.event)
    yield "timestamp", stamp(record.time_us)
    yield "event source", f"qekm-server/{record.event.partition('.')[0]}"
    yield "outcome", f"[result={RESULTS[record.outcome]}]"
    yield "event type", event.type
    if record.message:
        yield "message", record.message
    if event.category == "authentication":
        yield "authentication type", _PROOFS.get(record.event, "keystore slot")
        yield "users", record.actor
    yield "action", record.event
    if event.category == "configuration_management":
        yield "command type", record.event.removeprefix("rpc.")
    name = getattr(record, _NAMED.get(event.resource, ""), "")
    yield "resource", f"{event.resource} {name}".rstrip(" ")
    if event.category != "authentication":
        yield "user", record.actor
    yield from _of_drive(told)
    yield from _of_error(record)
    if record.count != 1:
        yield "count", str(record.count)
    if told.sequence:
        yield "sequence", str(told.sequence)


def _of_drive(told: Told) -> Iterator[Attribute]:
    record = told.record
    if record.drive_serial:
        yield "drive vendor", told.vendor
        yield "drive serial number", record.drive_serial
        yield "drive WWN", record.drive_wwnn.hex().upper()
        yield "volser", record.volser
    if record.alias or record.drive_serial:
        yield "key alias", record.alias


def _of_error(record: AuditRecord) -> Iterator[Attribute]:
    if record.code:
        yield "error", record.code
        if title := title_of(record.code):
            yield "error text", title
