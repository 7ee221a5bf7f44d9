"""Points in time as an operator writes them: 2h, 3d, 2026-11-23, 2026-11-23T17:04. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
FORMS = (
    "a date or time (2026-11-23, 2026-11-23T17:04, UTC if no zone is named) or how long ago (30m, 2h, 3d, 1w)"
)


def parse_since(text: str, now: datetime) -> datetime:
    """Return the moment that `text` names, in UTC; raises ValueError that tells the forms."""
    try:
        if ago := _AGO.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text.strip())
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is not {FORMS}") from error
