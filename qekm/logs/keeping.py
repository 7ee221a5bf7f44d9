"""The logs of a running service, put together: what it owns of them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from qekm.configuration.settings import Settings
from qekm.home import Home
from qekm.logs.audit_log import AuditLog, Batch, Trail
from qekm.logs.courier import PATIENCE_S, Courier
from qekm.logs.debugging import Debugging, Tap
from qekm.logs.entry import of_record
from qekm.logs.events import event_of
from qekm.logs.outlets import Outlets
from qekm.logs.record import Told
from qekm.model import AuditRecord, Outcome

LEAST = 64_000  # bytes of both files of the audit log
BATCHES = 512  # commits that wait for the audit log; what has no room is read from the trail
BATCH = 16  # commits written at once
CHANGEABLE = ("debug",)
"""Properties whose changes `switch` puts in force; which records are wanted is looked up for each of them."""


class Link(Protocol):
    """A gateway that is connected (qekm.api.gateways); hello: what it said of itself."""

    @property
    def id(self) -> str:
        """Return the name of the gateway and the number of its stream."""

    @property
    def hello(self) -> Any:
        """Return version and addresses."""


class Line(Protocol):
    """What a gateway tells of a connection: one line, and the address of its client."""

    @property
    def source(self) -> str:
        """Return host:port."""

    @property
    def text(self) -> str:
        """Return the line."""


class Logs:
    """From `start` to `close`; `committed` is called by the store's writer after each commit."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        tap: Tap,
        vendor_of: Callable[[str], str],
        gateways: Iterable[Link],
        outlets: Outlets,
    ) -> None:
        """Take the settings in force; vendor_of: the vendor of a drive's serial, from any thread."""
        self._home, self._settings, self.outlets = home.path, settings, outlets
        self._vendor_of, self._gateways = vendor_of, gateways
        self._audit: Courier[Batch] | None = None
        self.debugging = Debugging(self._path_of("debug.output.file"), tap, self._describe)

    def start(self, trail: Trail) -> None:
        """Begin: what the audit log lacks is written as soon as something is committed."""
        settings = self._settings
        path = self._path_of("Audit.handler.file.directory") / settings["Audit.handler.file.name"]
        size = max(settings["Audit.handler.file.size"] * 1_000, LEAST)
        log = AuditLog(path, size, trail, self._is_wanted, self._vendor_of)
        self._audit = Courier(f"audit log {path}", log, most=BATCHES, batch=BATCH)
        self._audit.start()
        self.switch(settings)

    def committed(self, first: int, records: Sequence[AuditRecord]) -> None:
        """Take records that are in the trail from place `first` on; in the writer's thread, never waits.

        The outlets get each: whoever administers from afar can choose what is in the audit log, and shall not
        choose what is sent where he cannot remove it.
        """
        if self._audit is not None:
            self._audit.give((first, records))
        if self.outlets.wanted:
            for place, record in enumerate(records, first):
                told = Told(place, record, self._vendor_of(record.drive_serial))
                self.outlets.give(of_record(told))

    def switch(self, coming: Settings) -> None:
        """Have the debug log as settings say: on with some classes, or off; nothing of it can fail here."""
        if classes := coming["debug"]:
            self.debugging.begin(classes)
        elif self.debugging.on:
            self.debugging.end()

    def noted(self, link: Link, lines: Iterable[Line]) -> None:
        """Write what a gateway tells of its connections; nothing while the debug log is off."""
        for line in lines:
            self.debugging.note(link.id, line.source, line.text)

    def _describe(self, gateway: str) -> str:
        """Return version and addresses of a gateway that is connected."""
        hellos = (link.hello for link in self._gateways if link.id == gateway)
        return next((f"version {each.version}, at {', '.join(each.addresses)}" for each in hellos), "gone")

    def lines(self) -> list[str]:
        """Return what a status says of logs that cannot be written."""
        audit = self._audit.trouble if self._audit is not None else ""
        return [line for line in (audit, self.debugging.trouble, *self.outlets.troubles()) if line]

    def close(self) -> None:
        """Write what waits, for at most a moment, and end; nothing is committed any more."""
        if self._audit is not None:
            self._audit.close()
        self.debugging.close(PATIENCE_S)

    def _path_of(self, name: str) -> Path:
        return self._home / str(self._settings[name])

    def _is_wanted(self, record: AuditRecord) -> bool:
        """Tell whether a record is to be in the audit log."""
        outcome = "failure" if record.outcome is Outcome.FAILURE else "success"
        return (
            outcome in self._settings["Audit.event.outcome"]
            and event_of(record.event).category in self._settings["Audit.event.types"]
        )
