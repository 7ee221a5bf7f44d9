"""Own what is known of the backups that were made, and when the next one is due. Memory only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from qekm.errors import BadArgument, StoreDamaged, UnknownBackup
from qekm.model import Backup, BackupState, Setting

EVERY, KEEP = "backup.everyHours", "backup.keep"  # settings of the store
_DEFAULTS = {EVERY: 24, KEEP: 14}
_LIMITS = {EVERY: (0, 8_760), KEEP: (1, 1_000)}
_HOUR_US = 3_600 * 1_000_000


class Backups:
    """All backups by name, and the schedule; what changes is returned, to be committed."""

    def __init__(
        self, stored: Iterable[Backup], settings: Mapping[str, str], now_us: Callable[[], int]
    ) -> None:
        """Take the store's rows and settings; StoreDamaged."""
        self._now_us = now_us
        self._known = {each.name: each for each in sorted(stored, key=_age)}
        try:
            self._schedule = {name: int(settings.get(name, value)) for name, value in _DEFAULTS.items()}
        except ValueError as error:
            raise StoreDamaged("the schedule of the backups cannot be read") from error

    # What there is.

    def find(self, name: str) -> Backup:
        """Return a backup that is there; the newest for an empty name. UnknownBackup."""
        found = self._known.get(name) if name else self.newest()
        if found is None:
            raise UnknownBackup(f"there is no backup {name!r}" if name else "there is no backup", backup=name)
        if found.state is BackupState.REMOVED:
            raise UnknownBackup(f"backup {name} was removed, to keep {self.keep}", backup=name)
        return found

    def page(self, after: str = "", limit: int = 100) -> list[Backup]:
        """Return at most `limit` backups, newest first, that follow the one of a name."""
        newest = list(reversed(self._known.values()))
        names = [each.name for each in newest]
        start = names.index(after) + 1 if after in names else len(names) if after else 0
        return newest[start : start + limit]

    def named(self, sha256: bytes) -> str:
        """Return the name of the backup whose file has this digest; empty if there is none."""
        return next((each.name for each in self._known.values() if each.sha256 == sha256), "")

    def newest(self) -> Backup | None:
        """Return the newest VERIFIED backup."""
        return next((each for each in reversed(self._known.values()) if _is_good(each)), None)

    def protected(self, same_disk: bool) -> int:
        """Return up to which key all are in a proved backup that counts; same_disk: one on one's own does."""
        good = (each for each in self._known.values() if _is_good(each) and (each.independent or same_disk))
        return max((each.created_seq for each in good), default=0)

    def last(self) -> Backup | None:
        """Return the newest backup, whatever became of it."""
        return next(reversed(self._known.values()), None)

    def holding(self, created_seq: int) -> list[str]:
        """Return the names of the backups in which the key of this creation sequence may still be."""
        return [
            each.name
            for each in self._known.values()
            if each.created_seq >= created_seq and each.state is not BackupState.REMOVED
        ]

    @property
    def first_us(self) -> int:
        """Return when the first backup was made that was ever verified; 0 if none was."""
        return min((each.create_time_us for each in self._known.values() if each.verify_time_us), default=0)

    @property
    def drill_us(self) -> int:
        """Return when a person last opened a backup; 0 if nobody ever did."""
        return max((each.drill_time_us for each in self._known.values()), default=0)

    def put(self, backup: Backup) -> Backup:
        """Take a backup as it is now, and return it."""
        self._known[backup.name] = backup
        return backup

    def unproved(self) -> list[Backup]:
        """Return those whose proof a stop of the service cut off."""
        return [each for each in self._known.values() if each.state is BackupState.CREATED]

    def outdated(self, directory: Path) -> list[Backup]:
        """Return whose files in a directory are to go: good ones beyond `keep`, failed ones but the last.

        The newest good one is never among them, nor is one that was ever good, nor a file that
        none of the rows names.
        """
        here = [each for each in self._known.values() if each.target == str(directory)]
        good = [each for each in here if _is_good(each)]
        failed = [each for each in here if each.state is BackupState.FAILED and not each.verify_time_us]
        return good[: -self.keep] + failed[:-1]

    # The schedule.

    @property
    def every_hours(self) -> int:
        """Return the hours between two backups; 0: only when there are new keys."""
        return self._schedule[EVERY]

    @property
    def keep(self) -> int:
        """Return how many verified backups are kept."""
        return self._schedule[KEEP]

    @property
    def next_us(self) -> int:
        """Return when the next backup is due by the clock; 0 if never."""
        newest = self.newest()
        if not self.every_hours:
            return 0
        return newest.create_time_us + self.every_hours * _HOUR_US if newest else self._now_us()

    def plan(self, every_hours: int, keep: int) -> list[Setting]:
        """Change the schedule; BadArgument."""
        wanted = {EVERY: every_hours, KEEP: keep}
        for name, value in wanted.items():
            least, most = _LIMITS[name]
            if not least <= value <= most:
                raise BadArgument(f"{name} is {value}; it can be {least} to {most:,}", field=name)
        self._schedule = wanted
        return [Setting(name, str(value)) for name, value in wanted.items()]


def _age(backup: Backup) -> tuple[int, int]:
    return backup.epoch, backup.sequence


def _is_good(backup: Backup) -> bool:
    return backup.state is BackupState.VERIFIED
