"""Logging of a process: one line per event on standard error, and no bytes of any kind in it.

2026-01-31T12:00:00.000000Z warning qekm-server qekm.store.writer "a write failed" incident="7f3a91c2"
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, TextIO


class LineFormatter(logging.Formatter):
    """Formats a record as one line; text is quoted as in JSON, so that nothing can forge a second line.

    What an event is about may come as `extra={"fields": {...}}` and stands behind the message, name="value".
    Of bytes among the arguments only the number is shown, of objects only the kind: they may hold keys.
    """

    def __init__(self, process_name: str) -> None:
        super().__init__()
        self._process_name = process_name

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        time = datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        parts = [time, record.levelname.lower(), self._process_name, record.name, _quoted(message_of(record))]
        fields = getattr(record, "fields", None) or {}
        parts += [f"{name}={_quoted(str(shown(value)))}" for name, value in fields.items()]
        if record.exc_info and record.exc_info[0]:
            parts.append("trace=" + _quoted(self.formatException(record.exc_info)))
        return " ".join(parts)


def configure(
    process_name: str,
    level: str = "INFO",
    stream: TextIO | None = None,
    formatter: logging.Formatter | None = None,
) -> None:
    """Send the process's log to `stream` (standard error), from `level` on; replaces what was configured.

    formatter: instead of the one that writes lines as above.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(formatter or LineFormatter(process_name))
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)


def message_of(record: logging.LogRecord) -> str:
    """Return what a record says, without its fields; of bytes and objects in it only the kind."""
    arguments, message = record.args, str(record.msg)
    try:
        if isinstance(arguments, Mapping):
            return message % {name: shown(value) for name, value in arguments.items()}
        return message % tuple(map(shown, arguments)) if arguments else message
    except (TypeError, ValueError, KeyError):
        return message  # logging itself would print the arguments as they are


def shown(value: Any) -> Any:
    """Return a plain value as it is, of anything else the kind: the text of an object may show a key."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if value is None or isinstance(value, str | int | float | BaseException | PurePath):
        return value
    return f"<{type(value).__name__}>"


def _quoted(text: str) -> str:
    return json.dumps(text)
