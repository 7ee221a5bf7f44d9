"""When a backup is made by itself."""

from __future__ import annotations

from qekm.backup.due import PATIENCE_US, REST_US, Growth, retry_us

SECOND = 1_000_000


def test_one_backup_is_made_when_making_keys_has_rested() -> None:
    growth = Growth()
    assert not growth.settled(0, 0, 10 * SECOND)
    assert not growth.settled(5, 0, 11 * SECOND)
    assert not growth.settled(9, 0, 12 * SECOND)
    assert not growth.settled(9, 0, 12 * SECOND + REST_US - 1)
    assert growth.settled(9, 0, 12 * SECOND + REST_US)
    assert not growth.settled(9, 9, 20 * SECOND)
    assert not growth.settled(10, 9, 21 * SECOND)
    assert growth.settled(10, 9, 21 * SECOND + REST_US)


def test_keys_that_are_made_all_the_time_do_not_put_it_off_for_ever() -> None:
    growth, second = Growth(), 1
    while not growth.settled(second, 0, second * SECOND):
        second += 1
        assert second < 1_000
    assert (second - 1) * SECOND == PATIENCE_US


def test_the_patience_begins_anew_after_a_backup() -> None:
    growth = Growth()
    growth.settled(1, 0, 0)
    assert not growth.settled(1, 1, PATIENCE_US)
    assert not growth.settled(2, 1, PATIENCE_US + 1)


def test_a_failure_is_tried_again_later_and_later_but_within_15_minutes() -> None:
    waits = [retry_us(number) // SECOND for number in range(12)]
    assert waits == [0, 5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]
    assert retry_us(10_000) == 900 * SECOND
