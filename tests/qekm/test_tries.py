"""Wrong tries make the next one wait, and nothing but time helps."""

from __future__ import annotations

import pytest

from qekm.errors import TooMany
from qekm.tries import FORGOTTEN_S, FREE, Tries
from tests.qekm.test_opened import Time


def wait_s(tries: Tries, time: Time) -> int:
    """Return how many seconds pass until the next try may be made."""
    start_s = time.now_s
    while True:
        try:
            tries.check()
        except TooMany:
            time.now_s += 1
        else:
            return round(time.now_s - start_s)


def test_five_wrong_tries_are_free_then_each_doubles_the_wait_up_to_a_minute() -> None:
    time = Time()
    tries = Tries(time)
    waits = []
    for _ in range(14):
        waits.append(wait_s(tries, time))
        tries.fail()
    assert waits == [0] * FREE + [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_the_message_tells_how_long_and_no_try_is_counted_that_was_not_made() -> None:
    time = Time()
    tries = Tries(time)
    for _ in range(FREE + 2):
        tries.fail()
    for _ in range(100):
        with pytest.raises(TooMany, match="7 tries to open the keystore were wrong: wait 4 s"):
            tries.check()
    time.now_s += 3.5
    with pytest.raises(TooMany, match="wait 1 s"):
        tries.check()
    time.now_s += 0.5
    tries.check()


def test_a_quarter_of_an_hour_without_a_wrong_try_makes_a_new_start() -> None:
    time = Time()
    tries = Tries(time)
    for _ in range(FREE + 5):
        tries.fail()
    time.now_s += FORGOTTEN_S + 1
    tries.fail()
    tries.check()


def test_thousands_of_wrong_tries_are_no_more_than_a_minute() -> None:
    time = Time()
    tries = Tries(time)
    for _ in range(5_000):
        tries.fail()
    assert wait_s(tries, time) == 60
