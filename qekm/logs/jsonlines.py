"""JSON lines: one object a line, ASCII, with the same names whatever it tells of."""

from __future__ import annotations

import json
import logging
import os

from qekm.logs.entry import Entry, of_line
from qekm.logs.stamp import stamp


class JsonFormatter(logging.Formatter):
    """Formats a line of the log as an object; see `json_line`."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        return json_line(of_line(record), self._process)


def json_line(entry: Entry, process: str) -> str:
    """Return time, level, process, pid, logger, message; then fields and trace where there are some."""
    told: dict[str, object] = {
        "time": stamp(entry.time_us),
        "level": logging.getLevelName(entry.level).lower(),
        "process": process,
        "pid": os.getpid(),
        "logger": entry.logger,
        "message": entry.message,
    }
    if entry.fields:
        told["fields"] = dict(entry.fields)
    if entry.trace:
        told["trace"] = entry.trace
    return json.dumps(told)
