"""Wrong tries at the keystore's slots: after a few, each makes everybody wait longer for the next one."""

from __future__ import annotations

import math
from collections.abc import Callable

from qekm.errors import TooMany

FREE = 5  # people mistype
LONGEST_S = 60.0
FORGOTTEN_S = 900.0  # after the last wrong try


class Tries:
    """Counts the wrong tries of all callers together: another name or another slot is no new start.

    A right try does not make the wrong ones before it forgotten, or whoever knows one password could
    guess at another without end.
    """

    def __init__(self, steady_s: Callable[[], float]) -> None:
        self._steady_s = steady_s
        self._wrong, self._last_s = 0, 0.0

    def check(self) -> None:
        """Raise TooMany, with the seconds that are left, while the next try has to wait."""
        left_s = self._last_s + self._delay_s - self._steady_s()
        if left_s > 0:
            what = f"{self._wrong} tries to open the keystore were wrong: wait {math.ceil(left_s)} s"
            raise TooMany(what, hint="then try again", limit=str(FREE))

    def fail(self) -> None:
        """Count a wrong try."""
        now_s = self._steady_s()
        if now_s - self._last_s > FORGOTTEN_S:
            self._wrong = 0
        self._wrong, self._last_s = self._wrong + 1, now_s

    @property
    def _delay_s(self) -> float:
        if self._wrong < FREE:
            return 0.0
        return min(LONGEST_S, 2.0 ** min(self._wrong - FREE, 10))
