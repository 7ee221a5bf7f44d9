"""What a status says of the backups."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qekm.backup.condition import Condition
from qekm.model import Backup
from tests.qekm.backup.test_records import BAD, GONE, HOUR_US, backup, owner

DAY_US = 24 * HOUR_US
WELL = Condition(
    protected=True,
    has_target=True,
    elsewhere=True,
    same_disk=False,
    failure="",
    created_seq=30,
    now_us=10 * HOUR_US,
)


def lines(condition: Condition, *rows: Backup) -> list[str]:
    """Return what is said."""
    return list(condition.lines(owner(*rows)))


def test_nothing_is_said_when_all_is_well() -> None:
    assert lines(WELL, backup(3)) == []


@pytest.mark.parametrize(
    ("change", "rows", "said"),
    [
        ({"protected": False}, [3], "keys are on one disk only: keystore.protect=none"),
        ({}, [], "there is no verified backup yet"),
        ({"created_seq": 1_064}, [3], "1,034 keys are in no verified backup"),
        (
            {"elsewhere": False, "same_disk": True},
            [3],
            "backups are on the store's own file system: backup.sameDisk=true",
        ),
        (
            {"elsewhere": False},
            [3],
            "backups are on the store's own file system, or in memory, and do not count (backup.target)",
        ),
        ({"failure": "no space"}, [3], "the last backup failed: no space"),
        (
            {"now_us": 3 * HOUR_US + 91 * DAY_US},
            [3],
            "nobody has opened a backup with shares or a password for 91 days: qekm backup drill",
        ),
    ],
)
def test_each_thing_that_is_not_as_it_should_be_has_a_line(
    change: dict[str, object], rows: list[int], said: str
) -> None:
    assert lines(replace(WELL, **change), *map(backup, rows)) == [said]  # type: ignore[arg-type]


def test_without_a_target_that_is_the_one_thing_to_say() -> None:
    assert lines(replace(WELL, has_target=False)) == [
        "there is nowhere to put a backup (backup.target): new keys are not given out"
    ]
    assert lines(replace(WELL, has_target=False, by_peer=True)) == [
        "there is nowhere to put a backup (backup.target): nothing but peers has the keys, too"
    ]
    unprotected = replace(WELL, has_target=False, protected=False)
    assert lines(unprotected) == ["keys are on one disk only: keystore.protect=none"]


def test_a_failure_is_still_told_after_a_restart() -> None:
    failed = replace(backup(4, BAD), message="altered")
    assert lines(WELL, backup(3), failed) == ["the last backup failed: altered"]
    assert lines(WELL, failed, backup(5)) == []


def test_a_drill_counts_for_90_days() -> None:
    drilled = backup(3, drill_us=5 * DAY_US)
    assert lines(replace(WELL, now_us=95 * DAY_US), drilled) == []
    late = lines(replace(WELL, now_us=96 * DAY_US), drilled)
    assert late == ["nobody has opened a backup with shares or a password for 91 days: qekm backup drill"]


def test_the_days_without_a_drill_are_counted_from_the_first_backup_even_if_it_is_gone() -> None:
    now = replace(WELL, now_us=91 * DAY_US + HOUR_US)
    assert len(lines(now, backup(1, GONE), backup(3))) == 1
    assert lines(now, backup(100)) == []
