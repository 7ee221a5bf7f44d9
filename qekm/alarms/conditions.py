"""What stands although nobody does anything: judged every minute, recorded when it begins and when it ends.

Each is named by event and subject, and has a text, and a step if it comes nearer. Pure but for the disk.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from qekm.alarms.rules import BACKUP_LATE, DISK_LOW, DRILL_LATE, EXPIRING, GATEWAY_AWAY, LOG_FAIL, READ_ONLY
from qekm.audit import SERVICE, occurred
from qekm.backup.condition import DRILL_DAYS
from qekm.backup.records import Backups
from qekm.expiring import ENDED, Expiring
from qekm.model import AuditRecord, Outcome

AWAY_S = 60.0  # without the gateway that there was
_HOUR_US = 3_600 * 1_000_000
_DAY_US = 24 * _HOUR_US
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that stands now."""

    event: str
    subject: str
    text: str
    step: str = ""

    @property
    def message(self) -> str:
        """Return the text of its record, which begins with the subject: the rules find it there."""
        return f"{self.subject}: {self.text}" if self.subject else self.text


Key = tuple[str, str]


def named(found: Iterable[Condition]) -> dict[Key, Condition]:
    """Return what stands by its name; of two with one name the first: certificates come as they end."""
    by_name: dict[Key, Condition] = {}
    for each in found:
        by_name.setdefault((each.event, each.subject), each)
    return by_name


def changes(
    before: Mapping[Key, Condition], now: Mapping[Key, Condition], now_us: int
) -> Iterator[AuditRecord]:
    """Yield a record for what begins, for what has come a step nearer, and for what is well again."""
    for key, condition in now.items():
        if key not in before or before[key].step != condition.step:
            told = condition.event, SERVICE, Outcome.FAILURE
            yield occurred(now_us, *told, code=condition.step, message=condition.message)
    for key, condition in before.items():
        if key not in now:
            text = Condition(condition.event, condition.subject, "well again").message
            yield occurred(now_us, condition.event, SERVICE, Outcome.SUCCESS, message=text)


def of_certificates(found: Iterable[Expiring]) -> Iterator[Condition]:
    """Yield certificates that end."""
    for each in found:
        when = "has ended" if each.level == ENDED else f"ends in {each.days} days"
        text = f"certificate {each.mark} {when}; {each.advice}"
        yield Condition(EXPIRING, each.who, text, f"DAYS_{each.level}")


def of_backups(backups: Backups, created_seq: int, start_us: int, now_us: int) -> Iterator[Condition]:
    """Yield a backup that is older than two of its periods, or has been missing since the start."""
    newest = backups.newest()
    since_us = newest.create_time_us if newest else start_us
    hours = 2 * backups.every_hours if backups.every_hours else 24
    covered = newest is not None and newest.created_seq >= created_seq
    if now_us - since_us > hours * _HOUR_US and (backups.every_hours or not covered):
        past = f"{(now_us - since_us) // _HOUR_US:,} hours"
        what = f"the newest verified backup is {past} old" if newest else f"no backup was verified for {past}"
        yield Condition(BACKUP_LATE, "", what)
    opened_us = backups.drill_us or backups.first_us
    days = (now_us - opened_us) // _DAY_US
    if opened_us and days > DRILL_DAYS:
        yield Condition(DRILL_LATE, "", f"nobody has opened a backup for {days} days")


def of_disk(path: Path, least_mb: int) -> Iterator[Condition]:
    """Yield a file system with less free space than that."""
    try:
        free_mb = shutil.disk_usage(path).free // _MB
    except OSError as error:
        yield Condition(DISK_LOW, str(path), error.strerror or "cannot be looked at")
        return
    if free_mb < least_mb:
        yield Condition(DISK_LOW, str(path), f"{free_mb:,} MB are free, fewer than {least_mb:,}")


def of_keystore(reason: str) -> Iterator[Condition]:
    """Yield that no new keys are given, for a reason."""
    if reason:
        yield Condition(READ_ONLY, "", reason)


def of_logs(lines: Iterable[str]) -> Iterator[Condition]:
    """Yield logs that cannot be written."""
    if text := "; ".join(lines):
        yield Condition(LOG_FAIL, "", text)


class Gateways:
    """Notices that the last gateway is gone; a server that never had one is said to be so by its status."""

    def __init__(self, count: Callable[[], int], steady_s: Callable[[], float]) -> None:
        self._count, self._steady_s = count, steady_s
        self._seen_s: float | None = None

    def __call__(self) -> Iterator[Condition]:
        """Yield it after a minute."""
        now_s = self._steady_s()
        if self._count():
            self._seen_s = now_s
        elif self._seen_s is not None and now_s - self._seen_s >= AWAY_S:
            yield Condition(GATEWAY_AWAY, "", "no gateway has been connected for a minute")
