"""The logs of a running service, put together: what it owns of them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from qekm.config import Settings
from qekm.configuration import Applied
from qekm.home import Home
from qekm.logs.audit_log import AuditLog, Batch, Trail
from qekm.logs.courier import Courier
from qekm.logs.debugging import Debugging, Tap
from qekm.logs.entry import of_record
from qekm.logs.events import event_of
from qekm.logs.outlets import Outlets
from qekm.logs.record import Told
from qekm.model import AuditRecord, Outcome

LEAST = 64_000  # bytes of both files of the audit log
BATCHES = 4_096  # commits that wait for the audit log; what has no room is read from the trail
BATCH = 16  # commits written at once
PATIENCE_S = 2.0  # at the end, for what waits
CHANGEABLE = ("debug",)
"""Properties whose changes `apply` puts in force; which records are wanted is looked up for each of them."""


class Logs:
    """From `start` to `close`; `committed` is called by the store's writer after each commit."""

    def __init__(
        self, home: Home, settings: Settings, tap: Tap, vendor_of: Callable[[str], str], outlets: Outlets
    ) -> None:
        """Take the settings in force; vendor_of: the vendor of a drive's serial, from any thread."""
        self._home, self._settings, self._outlets = home.path, settings, outlets
        self._vendor_of = vendor_of
        self._audit: Courier[Batch] | None = None
        self.debugging = Debugging(tap)

    def start(self, trail: Trail) -> None:
        """Begin: what the audit log lacks is written as soon as something is committed."""
        settings = self._settings
        path = self._path_of("Audit.handler.file.directory") / settings["Audit.handler.file.name"]
        size = max(settings["Audit.handler.file.size"] * 1_000, LEAST)
        log = AuditLog(path, size, trail, self._is_wanted, self._vendor_of)
        self._audit = Courier(f"audit log {path}", log, most=BATCHES, batch=BATCH)
        self._audit.start()
        self._switch(settings["debug"])

    def committed(self, first: int, records: Sequence[AuditRecord]) -> None:
        """Take records that are in the trail from place `first` on; in the writer's thread, never waits."""
        if self._audit is not None:
            self._audit.give((first, records))
        if self._outlets.wanted:
            for place, record in enumerate(records, first):
                if self._is_wanted(record):
                    told = Told(place, record, self._vendor_of(record.drive_serial))
                    self._outlets.give(of_record(told))

    async def apply(self, coming: Settings) -> Applied:
        """Switch the debug log on or off, or to other classes; `undo` switches it back."""
        before: frozenset[str] = self._settings["debug"]
        self._switch(coming["debug"])

        async def undo() -> None:
            self._switch(before)

        return Applied(undo)

    def lines(self) -> list[str]:
        """Return what a status says of logs that cannot be written."""
        audit = self._audit.trouble if self._audit is not None else ""
        return [line for line in (audit, self.debugging.trouble, *self._outlets.troubles()) if line]

    def close(self) -> None:
        """Write what waits, for at most a moment, and end; nothing is committed any more."""
        if self._audit is not None:
            self._audit.close(PATIENCE_S)
        self.debugging.end(PATIENCE_S)

    def _switch(self, classes: frozenset[str]) -> None:
        if classes:
            self.debugging.begin(self._path_of("debug.output.file"), classes)
        elif self.debugging.on:
            self.debugging.end()

    def _path_of(self, name: str) -> Path:
        return self._home / str(self._settings[name])

    def _is_wanted(self, record: AuditRecord) -> bool:
        outcome = "failure" if record.outcome is Outcome.FAILURE else "success"
        return (
            outcome in self._settings["Audit.event.outcome"]
            and event_of(record.event).category in self._settings["Audit.event.types"]
        )
