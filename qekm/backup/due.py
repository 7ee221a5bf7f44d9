"""When a backup is made by itself: a rule of numbers. Pure."""

from __future__ import annotations

REST_US = 2_000_000  # making keys comes in batches: one backup for all of them
PATIENCE_US = 60_000_000  # but not never, if keys are made all the time
_FIRST_RETRY_US = 5_000_000
_LAST_RETRY_US = 15 * 60 * 1_000_000


class Growth:
    """Watches the newest key: since when there are keys that no backup has, and since when none was made."""

    def __init__(self) -> None:
        self._newest = self._changed_us = self._since_us = 0

    def settled(self, newest: int, covered: int, now_us: int) -> bool:
        """Tell whether there are keys to be backed up, and no more of them to wait for.

        newest, covered: creation sequence of the newest key there is, and of the newest that a backup has.
        """
        if newest <= covered:
            self._newest, self._since_us = newest, 0
            return False
        if newest != self._newest:
            self._newest, self._changed_us = newest, now_us
            self._since_us = self._since_us or now_us
        return now_us - self._changed_us >= REST_US or now_us - self._since_us >= PATIENCE_US


def retry_us(failures: int) -> int:
    """Return how long to wait after so many failures in a row: twice as long each time, up to 15 minutes."""
    return min(_FIRST_RETRY_US << min(failures - 1, 20), _LAST_RETRY_US) if failures else 0
