"""Whether the service is still there: counted in beats, so that a busy moment here is no silence there."""

from __future__ import annotations

BEAT = 0.5  # seconds between two signs of life that are asked for
MISSED = (
    4  # beats without a word, after which the next finds the service gone: 2 to 2.5 s after the last word
)


class Pulse:
    """One stream's; a service of an older release never gives a sign of life and is never judged by it."""

    def __init__(self) -> None:
        self._missed = 0
        self._answers = False

    def heard(self, alive: bool) -> None:
        """Note that something came, and whether it was the sign of life."""
        self._missed = 0
        self._answers |= alive

    def beat(self) -> bool:
        """Count a beat and tell whether the service is gone."""
        self._missed += 1
        return self._answers and self._missed > MISSED
