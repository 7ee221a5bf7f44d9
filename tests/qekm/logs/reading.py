"""A reader of the audit log that knows its format only from docs/audit-log.md: not a line of the writer's."""

from __future__ import annotations

import re
from pathlib import Path

_ESCAPE = re.compile(r"\\(?:\\|u([0-9a-f]{4})|U([0-9a-f]{8}))")
_ATTRIBUTE = re.compile(r"  ([A-Za-z][A-Za-z ]*)=(.*)")


class NotTheFormat(Exception):
    """What was read is not as the page says."""


def records_of(content: bytes) -> list[dict[str, str]]:
    """Return the records of a file, attribute by attribute; NotTheFormat for anything else in it."""
    found: list[dict[str, str]] = []
    inside = False
    lines = content.decode().split("\n")
    if lines.pop():
        raise NotTheFormat("the last line has no end")
    for line in lines:
        if not inside:
            if line != "AuditRecordType:[":
                raise NotTheFormat(line)
            found.append({})
            inside = True
        elif line == "  ]":
            inside = False
        else:
            matched = _ATTRIBUTE.fullmatch(line)
            if matched is None or matched[1] in found[-1]:
                raise NotTheFormat(line)
            found[-1][matched[1]] = plain(matched[2])
    if inside:
        raise NotTheFormat("the last record has no end")
    return found


def plain(value: str) -> str:
    """Undo the escaping of a value; NotTheFormat for what no writer makes."""
    if not value.isprintable() or "\\" in _ESCAPE.sub("", value):
        raise NotTheFormat(value)
    return _ESCAPE.sub(
        lambda found: chr(int(found[1] or found[2], 16)) if found[1] or found[2] else "\\", value
    )


def sequences(path: Path) -> list[int]:
    """Return the places in the trail of all records in a log and its predecessor, the oldest first."""
    before = path.with_name(f"{path.name}.1")
    content = (before.read_bytes() if before.exists() else b"") + path.read_bytes()
    return [int(each["sequence"]) for each in records_of(content) if "sequence" in each]
