"""Whether this machine's clock can be right: against what was made in the past, and what keeps it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

from qekm.doctor.certificates import as_time, read_pem
from qekm.doctor.finding import Seen, broken, doubtful, fine
from qekm.home import Home

SKEW = timedelta(minutes=10)  # two clocks that nobody would call wrong
_UNSYNCHRONISED = 5  # TIME_ERROR: adjtimex(2)
_TIMEX = 512  # bytes; struct timex has 208
_SET = "see what time it is, and set the clock: timedatectl, date -u"


@dataclass(frozen=True, slots=True)
class Marks:
    """What tells of the time: authorities in force, when files were last written, who keeps the clock.

    synchronised: whether the kernel is told so by who keeps it; None where it does not say.
    """

    authorities: Sequence[x509.Certificate]
    written: Sequence[tuple[str, datetime]]
    synchronised: bool | None


def judge(marks: Marks, now: datetime) -> Iterator[Seen]:
    """Yield what cannot be at this time. Pure."""
    wrong = [*_before(marks, now), *_after(marks, now)]
    yield from wrong
    if wrong:
        return
    if marks.synchronised is False:
        told = "nothing keeps this machine's clock: it goes wrong by itself"
        yield doubtful(told, "have it kept: timedatectl set-ntp true, or chronyd")
    else:
        yield fine(f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _before(marks: Marks, now: datetime) -> Iterator[Seen]:
    """Yield that the clock is behind: something was made later than now."""
    starts = [each.not_valid_before_utc for each in marks.authorities]
    if starts and max(starts) > now + SKEW:
        begins = f"an authority in trust.pem begins {_told(max(starts))}"
        told = f"the clock says {_told(now)} UTC, and {begins}"
        yield broken(told, _SET)
        return
    late = max(marks.written, key=lambda each: each[1], default=None)
    if late is not None and late[1] > now + SKEW:
        told = f"the clock says {_told(now)} UTC, and {late[0]} was written {_told(late[1])}"
        yield broken(told, _SET)


def _after(marks: Marks, now: datetime) -> Iterator[Seen]:
    """Yield that the clock may be ahead: every authority is over, and nothing was written for as long."""
    ends = [each.not_valid_after_utc for each in marks.authorities]
    if not ends or max(ends) > now:
        return
    last = max((each[1] for each in marks.written), default=None)
    silent = f", and nothing was written here since {_told(last)}" if last is not None else ""
    over = f"all authorities in trust.pem end {_told(max(ends))}{silent}"
    yield broken(f"the clock says {_told(now)} UTC, {over}", _SET)


def _told(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def survey(home: Home) -> Marks:
    """Take what there is in a home, and what the kernel says."""
    try:
        trust = read_pem(home.trust.read_bytes())
    except OSError:
        trust = []
    watched = [home.store, home.anchor, home.config, home.trust, home.stdout_log, home.stderr_log]
    return Marks(trust, [*_times(watched)], _is_synchronised())


def _times(paths: Iterable[Path]) -> Iterator[tuple[str, datetime]]:
    for path in paths:
        try:
            yield path.name, as_time(path.stat().st_mtime)
        except OSError:
            continue


def _is_synchronised() -> bool | None:
    """Ask the kernel, changing nothing (modes 0); None where it cannot be asked."""
    room = ctypes.create_string_buffer(_TIMEX)
    try:
        state = int(ctypes.CDLL(None, use_errno=True).adjtimex(room))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != _UNSYNCHRONISED
