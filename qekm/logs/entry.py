"""One line of a process's log, or one record of the trail, before it gets the form of its receiver."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from qekm.explanations import title_of
from qekm.log import message_of, shown
from qekm.logs.record import Told
from qekm.model import Outcome

AUDIT = "qekm.audit"
"""Name of the logger that records of the trail would come from."""
_SEVERITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


@dataclass(frozen=True, slots=True)
class Entry:
    """When, how grave (a level of logging), from where, what, and about what; trace: of an exception."""

    time_us: int
    level: int
    logger: str
    message: str
    fields: Mapping[str, str] = field(default_factory=dict)
    trace: str = ""

    @property
    def severity(self) -> int:
        """Return how grave it is in syslog's numbers, which are the journal's, too (RFC 5424, 6.2.1)."""
        return next((number for level, number in _SEVERITIES if self.level >= level), 7)


def of_line(record: logging.LogRecord) -> Entry:
    """Return a line of the log; what must not be said is masked as on standard error (qekm/log.py)."""
    fields = {name: str(shown(value)) for name, value in (getattr(record, "fields", None) or {}).items()}
    trace = _FORMATTER.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
    time_us = int(record.created * 1_000_000)
    return Entry(time_us, record.levelno, record.name, message_of(record), fields, trace)


def of_record(told: Told) -> Entry:
    """Return a record of the trail; what it does not say is not among the fields."""
    record = told.record
    fields = {
        "sequence": str(told.sequence),
        "event": record.event,
        "outcome": record.outcome.name.lower(),
        "actor": record.actor,
        "drive_vendor": told.vendor,
        "drive_serial": record.drive_serial,
        "drive_wwnn": record.drive_wwnn.hex().upper(),
        "volser": record.volser,
        "alias": record.alias,
        "error": record.code,
        "error_text": title_of(record.code) if record.code else "",
        "count": str(record.count) if record.count != 1 else "",
        "text": record.message,
    }
    level = logging.WARNING if record.outcome is Outcome.FAILURE else logging.INFO
    said = {name: value for name, value in fields.items() if value}
    return Entry(record.time_us, level, AUDIT, f"{record.event} {record.outcome.name.lower()}", said)


_FORMATTER = logging.Formatter()
