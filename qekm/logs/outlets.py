"""Where a process's log goes besides standard error: syslog, the journal, and JSON lines of the trail."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from qekm import log
from qekm.logs.courier import Courier
from qekm.logs.entry import Entry, of_line
from qekm.logs.journal import PLACE, Journal
from qekm.logs.jsonlines import JsonFormatter, json_line
from qekm.logs.syslog import Syslog, client_context


class Settings(Protocol):
    """Typed values by the name of their property, as qekm.configuration.settings gives them."""

    def __getitem__(self, name: str) -> Any:
        """Return a property's value."""


class Lines:
    """A receiver of entries that writes them as JSON lines to a descriptor."""

    def __init__(self, process: str, descriptor: int) -> None:
        self._process, self._descriptor = process, descriptor

    def take(self, entries: Sequence[Entry]) -> None:
        """Write entries; OSError."""
        text = "".join(json_line(entry, self._process) + "\n" for entry in entries).encode()
        while text:
            text = text[os.write(self._descriptor, text) :]

    def missed(self, count: int) -> None:
        """Tell in the process's log, which goes there, too."""
        logging.getLogger(__name__).warning("%d lines were lost", count)

    def close(self) -> None:
        """Leave the descriptor to the process."""


class Outlets(logging.Handler):
    """Handler of the root logger; `give` is for records of the trail, which are no lines of the log."""

    def __init__(self, lines: Sequence[Courier[Entry]] = (), trail: Sequence[Courier[Entry]] = ()) -> None:
        """Take who gets lines of the log, and who gets records of the trail."""
        super().__init__()
        self._lines, self._trail = tuple(lines), tuple(trail)
        for courier in self._couriers:
            courier.start()

    @property
    def _couriers(self) -> list[Courier[Entry]]:
        return list(dict.fromkeys((*self._lines, *self._trail)))

    @property
    def wanted(self) -> bool:
        """Tell whether anybody wants records of the trail."""
        return bool(self._trail)

    def emit(self, record: logging.LogRecord) -> None:
        """Give a line of the log to all that want it."""
        entry = of_line(record)
        for courier in self._lines:
            courier.give(entry)

    def give(self, entry: Entry) -> None:
        """Give a record of the trail to all that want it."""
        for courier in self._trail:
            courier.give(entry)

    def troubles(self) -> list[str]:
        """Return what a status says of those that take nothing."""
        return [courier.trouble for courier in self._couriers if courier.trouble]

    def end(self) -> None:
        """Hand over what waits, and end."""
        logging.getLogger().removeHandler(self)
        for courier in self._couriers:
            courier.close()


def open_outlets(process: str, level: str, settings: Settings, home: Path) -> Outlets:
    """Set the process's log up as the settings say, and return where it goes besides standard error."""
    as_json = settings["log.format"] == "json"
    log.configure(process, level, formatter=JsonFormatter(process) if as_json else None)
    root = logging.getLogger()
    lines: list[Courier[Entry]] = []
    if url := settings["log.syslog"]:
        # One at a time where each is a datagram: of a batch that failed half way nothing would come twice.
        batch = 1 if url.startswith("udp") else 64
        lines.append(Courier(f"syslog {url}", _syslog(url, process, settings, home), batch=batch))
    if settings["log.journald"]:
        lines.append(Courier("the journal", Journal(process), batch=1))
    trail = list(lines)
    if settings["log.journald"] and is_journal(sys.stderr.fileno()):
        root.removeHandler(root.handlers[0])  # else the journal would have each line twice
    elif as_json:
        trail.append(Courier("standard error", Lines(process, sys.stderr.fileno())))
    outlets = Outlets(lines, trail)
    if lines:
        root.addHandler(outlets)
    return outlets


def _syslog(url: str, process: str, settings: Settings, home: Path) -> Syslog:
    files = [settings[f"log.syslog.{name}"] for name in ("trust", "certificate", "key")]
    trust, certificate, key = (str(home / file) if file else None for file in files)
    return Syslog(url, process, lambda: client_context(trust, certificate, key))


def is_journal(descriptor: int, environ: Mapping[str, str] = os.environ, place: Path = PLACE) -> bool:
    """Tell whether what is written there gets into the journal by itself (systemd.exec, JOURNAL_STREAM)."""
    found = os.fstat(descriptor)
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}" and place.exists()
