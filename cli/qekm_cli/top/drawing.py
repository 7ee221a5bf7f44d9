"""A picture of the key manager as lines of text, no wider and no higher than the terminal. Pure.

What people may have named (groups, serials, volsers, messages) is escaped: it cannot steer the terminal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil

from rich.cells import cell_len
from rich.text import Text

from qekm_cli.peer_lines import brief, is_troubled
from qekm_cli.render import Plain, cell
from qekm_cli.top.look import Look
from qekm_cli.top.rates import READ, REFUSED, WRITTEN, Rates, quantile

GOOD, BAD, TITLE, DIM = "green", "bold red", "bold", "dim"
_BARS = " ▁▂▃▄▅▆▇█"
_NAME, _BAR = 14, 20  # columns


@dataclass(slots=True)
class Section:
    """A title and its lines; `least` of them are shown before any other section gets more than its own."""

    title: str
    lines: list[Text] = field(default_factory=list)
    least: int = 1

    def cut(self, room: int) -> Iterator[Text]:
        """Yield title and lines in so many rows; what does not fit is counted in the last."""
        if room < 1:
            return
        shown = room - 1
        more = len(self.lines) - shown
        title = self.title if more <= 0 else f"{self.title}  … {more:,} more"
        yield Text(title, TITLE)
        yield from self.lines[:shown]


def draw(look: Look, rates: Rates, width: int, height: int, trouble: str = "") -> list[Text]:
    """Return at most `height` lines of at most `width` columns. trouble: why there is nothing newer."""
    head = [_head(look, rates), *([Text(f"NO ANSWER: {cell(trouble)}", BAD)] if trouble else [])]
    sections = [each for each in _sections(look, rates, width) if each.lines]
    rooms = share([(1 + each.least, 1 + len(each.lines)) for each in sections], height - len(head))
    lines = [*head, *(line for each, room in zip(sections, rooms, strict=True) for line in each.cut(room))]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines[: max(height, 1)]


def share(wanted: Sequence[tuple[int, int]], room: int) -> list[int]:
    """Share rows: each gets its least in order, while there is room, then one more in turn up to its most."""
    given = []
    for least, most in wanted:
        given.append(min(least, most, max(room, 0)) if room > 1 else 0)
        room -= given[-1]
    while room > 0:
        short = [place for place, (_, most) in enumerate(wanted) if 0 < given[place] < most]
        if not short:
            break
        for place in short[:room]:
            given[place] += 1
            room -= 1
    return given


def _head(look: Look, rates: Rates) -> Text:
    status, activity = look.status, look.activity
    line = Text(f"Q-EKM {cell(status['version'])}", TITLE)
    line.append(f"  up {_span(look.at_s, activity['start_time'])}", "")
    line.append(f"  keys ready {status['ready_key_count']:,}  drives {status['drive_count']:,}", "")
    return line.append(f"  sessions {activity['session_count']:,}", "")


def _sections(look: Look, rates: Rates, width: int) -> Iterator[Section]:
    yield Section("DEGRADED", [Text(cell(line), BAD) for line in look.status["degraded"]], 2)
    yield Section("SERVING", list(_serving(look, rates, width)), 5)
    yield Section("POOL", [_pool(group) for group in sorted(look.groups, key=_emptiness)])
    others = [each for each in look.peers if not each["self"]]
    yield Section("SERVERS", [Text(brief(row), BAD if is_troubled(row) else GOOD) for row in others])
    if not look.status["gateways"]:
        yield Section("GATEWAYS", [Text("none connected: no drive is served", BAD)])
    yield Section("DRIVES", [_drive(row, look.at_s) for row in look.activity["drives"]])
    yield Section("LAST FAILURES", [_failure(row, look.at_s) for row in look.activity["failures"]])


def _serving(look: Look, rates: Rates, width: int) -> Iterator[Text]:
    room = max(width - 24, 0)
    for kind, style in ((WRITTEN, GOOD), (READ, GOOD), (REFUSED, BAD)):
        line = Text(f"{kind:8} {rates.now(kind):8,.1f}/s  ")
        yield line.append(spark(rates.history(kind)[-room:] if room else []), style)
    half, most = (rates.answered_within_s(share) for share in (0.5, 0.99))
    yield Text(f"answers  {_seconds(half)} median, {_seconds(most)} 99 %", DIM)
    commits = look.activity["commit_seconds"] or {"counts": [], "bounds": []}
    slow = quantile(commits["counts"], commits["bounds"], 0.99)
    yield Text(f"commits  {_seconds(slow)} 99 % since the start", DIM)


def spark(values: Sequence[float]) -> str:
    """Return a character for each value, the highest one full; what is not nothing shows."""
    top = max(values, default=0.0)
    return "".join(_BARS[ceil(value / top * 8)] if value > 0 else " " for value in values)


def _pool(group: Plain) -> Text:
    ready, pool = group["ready_count"], group["pool_count"]
    full = min(round(_BAR * ready / pool), _BAR) if pool else 0
    line = Text(_fit(cell(group["name"]), _NAME) + " ")
    line.append("█" * full + "░" * (_BAR - full), BAD if group["low"] else GOOD)
    return line.append(f" {ready:,} ready of {group['key_count']:,}", "")


def _emptiness(group: Plain) -> tuple[bool, float, str]:
    """Return what puts groups first that are low, then the emptiest; an archive has no pool."""
    share = group["ready_count"] / group["pool_count"] if group["pool_count"] else 1.0
    return not group["low"], share, group["name"]


def _drive(row: Plain, at_s: float) -> Text:
    last = row["last"]
    is_bad = last["outcome"] == "failure"
    line = Text(f"{cell(row['serial']):12}  {_span(at_s, last['time']):>4}  {row['given_count']:>5,} keys  ")
    line.append(f"{cell(last['event'])}{_of(last)}", BAD if is_bad else "")
    return line


def _failure(row: Plain, at_s: float) -> Text:
    line = Text(f"{_span(at_s, row['time']):>4}  ")
    line.append(f"{cell(row['event'])}{_of(row)}", BAD)
    who = row["drive_serial"] or row["actor"]
    return line.append(f"  {cell(who)}  {cell(row['message'])}", "")


def _of(record: Plain) -> str:
    """Return a record's code and volser, where it has them."""
    return "".join(f" {cell(each)}" for each in (record["code"], record["volser"]) if each)


def _span(at_s: float, time: object) -> str:
    """Return how long ago a time was, in its largest unit."""
    from datetime import datetime

    if not time:
        return "-"
    seconds = max(at_s - datetime.fromisoformat(str(time)).timestamp(), 0)
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return f"{seconds:.0f}s"


def _seconds(bound: float | None) -> str:
    if bound is None:
        return "-"
    return "> 5 s" if bound == float("inf") else f"≤ {bound * 1_000:g} ms"


def _fit(text: str, columns: int) -> str:
    """Return text in exactly so many columns of a terminal; letters of two columns are counted as such."""
    fitted = Text(text)
    fitted.truncate(columns, overflow="ellipsis")
    return fitted.plain + " " * (columns - cell_len(fitted.plain))


def texts(lines: Iterable[Text]) -> list[str]:
    """Return lines without their colours."""
    return [line.plain.rstrip() for line in lines]
