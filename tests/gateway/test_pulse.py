"""When a service is given up: after beats without a word, and only if it ever gave a sign of life."""

from __future__ import annotations

from qekm_gateway.pulse import BEAT, MISSED, Pulse


def beats_until_gone(pulse: Pulse, most: int = 100) -> int:
    return next((count for count in range(1, most) if pulse.beat()), most)


def test_a_service_that_falls_silent_is_gone_after_two_to_two_and_a_half_seconds() -> None:
    pulse = Pulse()
    pulse.heard(alive=True)
    assert beats_until_gone(pulse) == MISSED + 1
    assert 2.0 <= MISSED * BEAT <= (MISSED + 1) * BEAT <= 2.5


def test_every_word_counts_and_not_only_signs_of_life() -> None:
    pulse = Pulse()
    pulse.heard(alive=True)
    for _ in range(50):
        assert not any(pulse.beat() for _ in range(MISSED))
        pulse.heard(alive=False)


def test_an_older_service_that_never_gives_a_sign_of_life_is_not_judged_by_it() -> None:
    pulse = Pulse()
    assert beats_until_gone(pulse) == 100
    pulse.heard(alive=False)
    assert beats_until_gone(pulse) == 100
