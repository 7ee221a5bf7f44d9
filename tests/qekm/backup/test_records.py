"""What is known of backups, and when the next one is due."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from qekm.backup.records import EVERY, KEEP, Backups
from qekm.errors import BadArgument, StoreDamaged, UnknownBackup
from qekm.model import Backup, BackupState

HOUR_US = 3_600 * 1_000_000
HERE = Path("/backups")
GOOD, BAD, NEW, GONE = BackupState.VERIFIED, BackupState.FAILED, BackupState.CREATED, BackupState.REMOVED


def backup(
    number: int, state: BackupState = GOOD, *, epoch: int = 1, target: Path = HERE, drill_us: int = 0
) -> Backup:
    """Return a backup of commit `number`, which holds the keys up to 10 * number."""
    verify_us = number if state in (GOOD, GONE) else 0
    return Backup(
        f"qekm-00010203-e{epoch}-{number}.qbk",
        number * HOUR_US,
        epoch,
        number,
        10 * number,
        5,
        100,
        bytes(32),
        str(target),
        True,
        state,
        verify_us,
        drill_us,
    )


def owner(*rows: Backup, **settings: str) -> Backups:
    """Return an owner; its clock stands at ten hours."""
    return Backups(
        rows, {name.replace("_", "."): value for name, value in settings.items()}, lambda: 10 * HOUR_US
    )


def test_the_newest_is_by_epoch_and_commit_whatever_the_order_of_the_rows() -> None:
    backups = owner(backup(9), backup(3, epoch=2), backup(5))
    assert backups.newest() == backup(3, epoch=2)
    assert backups.find("") == backup(3, epoch=2)
    assert [row.sequence for row in backups.page()] == [3, 9, 5]
    assert [row.sequence for row in backups.page(backup(9).name, 1)] == [5]
    assert backups.page("gone") == []


def test_only_a_verified_one_is_the_newest_good_one() -> None:
    backups = owner(backup(1), backup(2, BAD), backup(3, NEW), backup(4, GONE))
    assert backups.newest() == backup(1)
    assert backups.last() == backup(4, GONE)
    assert backups.unproved() == [backup(3, NEW)]
    assert owner().newest() is None
    assert owner().last() is None


def test_what_is_not_there_is_told() -> None:
    backups = owner(backup(4, GONE))
    with pytest.raises(UnknownBackup, match="no backup 'x'"):
        backups.find("x")
    with pytest.raises(UnknownBackup, match=r"there is no backup$"):
        backups.find("")
    with pytest.raises(UnknownBackup, match="was removed, to keep 14"):
        backups.find(backup(4).name)


def test_the_oldest_go_and_the_newest_good_one_never_does() -> None:
    rows = [backup(number) for number in range(1, 7)]
    elsewhere = backup(7, target=Path("/other"))
    backups = owner(*rows, backup(8, BAD), backup(9, BAD), elsewhere, backup(10, GONE), backup_keep="2")
    assert backups.outdated(HERE) == [*rows[:4], backup(8, BAD)]
    assert owner(backup(1), backup(2, BAD), backup_keep="1").outdated(HERE) == []
    once_good = replace(backup(2, BAD), verify_time_us=5)
    assert owner(backup(1), once_good, backup(3, BAD), backup(4, BAD)).outdated(HERE) == [backup(3, BAD)]


def test_a_key_may_be_in_every_backup_that_is_as_new_as_it() -> None:
    backups = owner(backup(1), backup(2, GONE), backup(3), backup(4, BAD))
    assert backups.holding(11) == [backup(3).name, backup(4).name]
    assert backups.holding(41) == []


def test_the_first_backup_and_the_last_drill_are_remembered() -> None:
    backups = owner(backup(2, BAD), backup(3, GONE, drill_us=7), backup(4))
    assert (backups.first_us, backups.drill_us) == (3 * HOUR_US, 7)
    assert (owner().first_us, owner().drill_us) == (0, 0)


def test_the_schedule_is_24_hours_and_14_backups_until_it_is_changed() -> None:
    backups = owner(backup(3))
    assert (backups.every_hours, backups.keep, backups.next_us) == (24, 14, 27 * HOUR_US)
    changes = backups.plan(2, 3)
    assert {change.name: change.value for change in changes} == {EVERY: "2", KEEP: "3"}
    assert (backups.every_hours, backups.keep, backups.next_us) == (2, 3, 5 * HOUR_US)
    again = owner(backup(3), backup_everyHours="2", backup_keep="3")
    assert (again.every_hours, again.keep) == (2, 3)
    assert owner().next_us == 10 * HOUR_US
    backups.plan(0, 1)
    assert backups.next_us == 0


@pytest.mark.parametrize(("hours", "keep"), [(-1, 1), (8_761, 1), (1, 0), (1, 1_001)])
def test_a_schedule_that_cannot_be_changes_nothing(hours: int, keep: int) -> None:
    backups = owner()
    with pytest.raises(BadArgument):
        backups.plan(hours, keep)
    assert (backups.every_hours, backups.keep) == (24, 14)


def test_a_setting_that_is_no_number_is_damage() -> None:
    with pytest.raises(StoreDamaged):
        owner(backup_keep="many")
