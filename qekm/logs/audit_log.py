"""kms_audit.log: the trail's newest records, in the family's format, as far as its size holds.

The file itself says how far it is: what a crash, a full disk or a full queue left out is read from the trail
when the file can be written again. Nothing here can lose a record for good: the trail has all of them.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from qekm.clock import now_us
from qekm.errors import QekmError
from qekm.logs.courier import REST_S
from qekm.logs.record import BEGIN, END, Told, text_of
from qekm.logs.rolling import RollingFile
from qekm.logs.stamp import stamp
from qekm.model import AuditRecord, Outcome
from qekm.store import Head, Link

LEAST = 256  # bytes of a record: more of them than size / LEAST do not fit
_PAGE = 256
_PACE = 32  # records in half a millisecond
_SEQUENCE, _TIMESTAMP = b"\n  sequence=", b"\n  timestamp="

_DIGITS = 20
_OTHER = (
    "this file tells of another trail than the store, up to record {}: it was restored; now follows its trail"
)

Batch = tuple[int, Sequence[AuditRecord]]
"""What one commit has put into the trail: the first record's place, and the records in order."""


class Trail(Protocol):
    """What is asked of the store; QekmError."""

    def audit_head(self) -> Head:
        """Return the last link's place and hash."""

    def audit_page(self, after_sequence: int, limit: int) -> list[Link]:
        """Return links beyond a place."""


class AuditLog:
    """What a courier hands batches of committed records to."""

    def __init__(
        self,
        path: Path,
        size: int,
        trail: Trail,
        wanted: Callable[[AuditRecord], bool],
        vendor_of: Callable[[str], str],
    ) -> None:
        """Take the most bytes of both files together, what is to be written, and the vendor of a serial."""
        self._file = RollingFile(path, size // 2, 1, BEGIN, END)
        self._fits = size // LEAST
        self._trail, self._wanted, self._vendor_of = trail, wanted, vendor_of
        self._last = -1  # place of the last record that is written or was passed over; -1: not known yet
        self._outage = ""

    def take(self, items: Sequence[Batch]) -> None:
        """Write what is new in these batches, and before it what the file lacks; OSError."""
        with self._trying():
            for first, records in items:
                self._catch_up(first - 1)
                self._write([(first + place, record) for place, record in enumerate(records)])

    def missed(self, count: int) -> None:
        """Read what the queue had no room for from the trail; OSError."""
        del count
        with self._trying():
            self._catch_up(self._head())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @contextmanager
    def _trying(self) -> Iterator[None]:
        """Begin where the file ends; remember since when it could not be written, and why."""
        try:
            self._resume()
            yield
        except OSError as error:
            self._outage = self._outage or f"since {stamp(now_us())}: {error.strerror or error}"
            raise

    def _resume(self) -> None:
        """See how far the file is, at the start and after every failure, and tell in it of an outage."""
        if self._last < 0 or self._outage:
            self._last = max(self._last, self._found())
        if self._outage:
            self._note("log.resume", f"this file could not be written {self._outage}", Outcome.SUCCESS)
            self._outage = ""

    def _found(self) -> int:
        """Return the place of the last record in the file that is one of this trail's; 0 if there is none."""
        head, newest = self._head(), True
        for content in self._file.contents():
            for sequence, time_text in _places(content):
                if sequence <= head and self._time_at(sequence) == time_text:
                    if not newest:
                        self._note("log.other", _OTHER.format(sequence), Outcome.SUCCESS)
                    return sequence
                newest = False
        return 0

    def _time_at(self, sequence: int) -> str:
        links = self._page(sequence - 1, 1)
        return stamp(links[0].record.time_us) if links and links[0].sequence == sequence else ""

    def _catch_up(self, last: int) -> None:
        """Write the trail's records up to a place, as far back as they fit."""
        if last <= self._last:
            return
        start = max(self._last, last - self._fits)
        if start > self._last:
            what = f"records {self._last + 1} to {start} are not in this file, but in the trail"
            self._note("log.gap", what, Outcome.FAILURE)
            self._last = start
        while self._last < last:
            links = self._page(self._last, min(_PAGE, last - self._last))
            if not links:
                raise OSError(errno.EIO, f"the trail has no record {self._last + 1}")
            self._write([(link.sequence, link.record) for link in links])

    def _write(self, records: Sequence[tuple[int, AuditRecord]]) -> None:
        """Write those that are new and wanted."""
        new = [(place, record) for place, record in records if place > self._last]
        if new:
            self._file.write([*self._texts(new)])
            self._last = new[-1][0]

    def _texts(self, records: Sequence[tuple[int, AuditRecord]]) -> Iterator[bytes]:
        for number, (place, record) in enumerate(records, 1):
            if self._wanted(record):
                yield text_of(Told(place, record, self._vendor_of(record.drive_serial)))
            if number % _PACE == 0:
                time.sleep(REST_S)

    def _note(self, event: str, message: str, outcome: Outcome) -> None:
        """Write a record of the log itself, which no trail has."""
        record = AuditRecord(now_us(), event, outcome, "server", message=message)
        self._file.write([text_of(Told(0, record))])

    def _head(self) -> int:
        try:
            return self._trail.audit_head().sequence
        except QekmError as error:
            raise OSError(errno.EIO, error.message) from error

    def _page(self, after: int, limit: int) -> list[Link]:
        try:
            return self._trail.audit_page(after, limit)
        except QekmError as error:
            raise OSError(errno.EIO, error.message) from error


def _places(content: bytes) -> Iterator[tuple[int, str]]:
    """Yield place and time of every record of a trail in a file, from the last one on."""
    end = len(content)
    while (at := content.rfind(_SEQUENCE, 0, end)) >= 0:
        end = content.rfind(_TIMESTAMP, 0, at)
        if end < 0:
            return
        number = _line(content, at + len(_SEQUENCE))
        if number.isdigit() and len(number) < _DIGITS:
            yield int(number), _line(content, end + len(_TIMESTAMP)).decode(errors="replace")


def _line(content: bytes, start: int) -> bytes:
    return content[start : content.find(b"\n", start)]
