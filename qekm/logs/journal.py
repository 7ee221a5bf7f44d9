"""systemd's journal, spoken to in its own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

from __future__ import annotations

import errno
import logging
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from qekm.logs.entry import AUDIT, Entry
from qekm.logs.stamp import stamp

PLACE = Path("/run/systemd/journal/socket")
MOST = 48_000  # bytes of a value: all of them must fit into one datagram
_LEAST = 1_000  # if they do not
_NO_NAME = re.compile("[^A-Z0-9_]")


class Journal:
    """A receiver of entries (qekm/logs/courier.py) that is the journal; OSError while it is away."""

    def __init__(self, process: str, place: Path = PLACE) -> None:
        self._process, self._place = process, place
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def take(self, entries: Sequence[Entry]) -> None:
        """Send entries, each a datagram."""
        for entry in entries:
            fields = fields_of(entry, self._process)
            try:
                self._socket.sendto(datagram(fields, MOST), str(self._place))
            except OSError as error:
                if error.errno != errno.EMSGSIZE:
                    raise
                self._socket.sendto(datagram(fields, _LEAST), str(self._place))

    def missed(self, count: int) -> None:
        """Tell in the process's log, which comes here, too."""
        logging.getLogger(__name__).warning("%d lines for the journal were lost", count)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def fields_of(entry: Entry, process: str) -> dict[str, str]:
    """Return what the journal keeps of an entry; our own fields are QEKM_ and their names in capitals."""
    text = f"{entry.message}\n{entry.trace}" if entry.trace else entry.message
    if entry.logger == AUDIT:  # or else nobody would see more of a record than its name
        text += "".join(f" {name}={value}" for name, value in entry.fields.items() if name not in _IN_NAME)
    told = {
        "MESSAGE": text,
        "PRIORITY": str(entry.severity),
        "SYSLOG_IDENTIFIER": process,
        "SYSLOG_FACILITY": "13" if entry.logger == AUDIT else "3",
        "SYSLOG_PID": str(os.getpid()),
        "QEKM_LOGGER": entry.logger,
        "QEKM_TIME": stamp(entry.time_us),
    }
    return told | {
        f"QEKM_{_NO_NAME.sub('_', name.upper())}"[:64]: value for name, value in entry.fields.items()
    }


_IN_NAME = ("event", "outcome")


def datagram(fields: Mapping[str, str], most: int) -> bytes:
    """Return the bytes that stand for fields, each value cut to `most` bytes."""
    return b"".join(_parts(fields, most))


def _parts(fields: Mapping[str, str], most: int) -> Iterator[bytes]:
    for name, text in fields.items():
        value = text.encode(errors="backslashreplace")[:most]
        # In the form with a length no value can end a field and begin one of its own.
        yield b"%b\n%b%b\n" % (name.encode(), len(value).to_bytes(8, "little"), value)
