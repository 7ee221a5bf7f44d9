"""One message about one or many alarms, as a mail and as a webhook's body. Pure.

What drives, callers and peers have sent is in the texts: it stays on its line, and in its place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256

from qekm.alarms.alarm import Alarm, Severity
from qekm.text import as_line

SCHEMA = 1  # of the webhook's body
MOST = 50  # alarms that a mail tells of in full
KEPT = 1_000  # alarms of digests that waited together, the gravest
LONGEST = 1_000  # characters of one text
_SUBJECT = 160
_ID = 32  # hex digits


@dataclass(frozen=True, slots=True)
class Digest:
    """What is told at once. server: name of the server that tells. id: the same when it comes twice."""

    server: str
    id: str
    time_us: int
    alarms: Sequence[Alarm]
    dropped: int = 0  # others that there was no room for
    test: bool = False

    @property
    def severity(self) -> Severity:
        """Return that of the gravest that stands; of news that all is well, the least."""
        return max((each.severity for each in self.alarms if not each.ended), default=Severity.NOTICE)

    @property
    def title(self) -> str:
        """Return the line that people see first."""
        first, more = self.alarms[0], len(self.alarms) - 1
        what = f"{_state(first)}: {first.title}" + (f" ({first.subject})" if first.subject else "")
        others = f", and {more} more" if more else ""
        return as_line(f"[Q-EKM {self.server}] {'TEST ' if self.test else ''}{what}{others}", _SUBJECT)


def merged(digests: Sequence[Digest]) -> Digest:
    """Return digests that waited together as one: of each alarm the last news, in the order of the first.

    Its id is of the set: whoever has heard of one of them, and drops what comes twice, has not heard of all.
    """
    if len(digests) == 1:
        return digests[0]
    found: dict[tuple[str, str], Alarm] = {}
    for alarm in (each for digest in digests for each in digest.alarms):
        before = found.get(alarm.key)
        found[alarm.key] = replace(alarm, count=alarm.count + before.count) if before else alarm
    alarms = list(found.values())
    if len(alarms) > KEPT:
        alarms.sort(key=lambda each: (each.ended, -each.severity))
    dropped = sum(each.dropped for each in digests) + len(alarms[KEPT:])
    mark = sha256("".join(sorted(each.id for each in digests)).encode()).hexdigest()[:_ID]
    return replace(digests[-1], alarms=tuple(alarms[:KEPT]), dropped=dropped, id=mark)


def mail_of(digest: Digest, sender: str, receivers: Sequence[str]) -> EmailMessage:
    """Return a digest as a mail in plain text; nothing in an alarm can become a header or end the text."""
    message = EmailMessage(policy=SMTP.clone(max_line_length=120))
    message["From"], message["To"] = sender, ", ".join(receivers)
    message["Subject"] = digest.title
    message["Date"] = format_datetime(_moment(digest.time_us))
    host = sender.rpartition("@")[2] or "localhost"
    message["Message-ID"] = f"<{digest.id}@{host}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's absence is answered to us
    message["X-QEKM-Severity"] = digest.severity.word
    message.set_content("\n".join(_lines(digest)) + "\n")
    return message


def body_of(digest: Digest) -> bytes:
    """Return a digest as JSON, ASCII (docs/alarms.md has the schema)."""
    told = {
        "schema": SCHEMA,
        "id": digest.id,
        "server": digest.server,
        "time": _iso(digest.time_us),
        "severity": digest.severity.word,
        "title": digest.title,
        "test": digest.test,
        "dropped": digest.dropped,
        "alarms": [_object(each) for each in digest.alarms],
    }
    return json.dumps(told).encode("ascii")


def _object(alarm: Alarm) -> Mapping[str, object]:
    return {
        "event": alarm.event,
        "subject": alarm.subject,
        "state": "ended" if alarm.ended else "standing",
        "severity": alarm.severity.word,
        "title": alarm.title,
        "text": alarm.text[:LONGEST],
        "advice": alarm.advice,
        "begin_time": _iso(alarm.begin_time_us),
        "last_time": _iso(alarm.last_time_us),
        "count": alarm.count,
        "sequence": alarm.sequence,
    }


def _lines(digest: Digest) -> Iterator[str]:
    what = "This is a test, nothing is wrong." if digest.test else "What stands, or is well again:"
    yield f"Server {digest.server}, {_iso(digest.time_us)}. {what}"
    for alarm in digest.alarms[:MOST]:
        yield ""
        yield as_line(f"{_state(alarm)}: {alarm.title}" + (f": {alarm.subject}" if alarm.subject else ""))
        if alarm.text:
            yield f"  {as_line(alarm.text, LONGEST)}"
        times = f", {alarm.count:,} times" if alarm.count > 1 else ""
        yield f"  since {_iso(alarm.begin_time_us)}{times} ({alarm.event})"
        if alarm.advice and not alarm.ended:
            yield as_line(f"  to do: {alarm.advice}")
    left = len(digest.alarms[MOST:])
    if left or digest.dropped:
        yield ""
        yield f"{left + digest.dropped:,} more are not told of here."
    yield ""
    yield "What stands now: qekm alarms list"


def _state(alarm: Alarm) -> str:
    return "WELL AGAIN" if alarm.ended else alarm.severity.name


def _moment(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC)


def _iso(time_us: int) -> str:
    return f"{_moment(time_us):%Y-%m-%dT%H:%M:%SZ}"
