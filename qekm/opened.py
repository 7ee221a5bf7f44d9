"""Who has the keystore open: a person proves a slot, and may then do what needs one for ten minutes."""

from __future__ import annotations

from collections.abc import Callable

from qekm.errors import KeystoreLocked

OPEN_S = 600.0


class Opened:
    """Subjects (role/name of a certificate) and until when each has the keystore open; memory only."""

    def __init__(self, steady_s: Callable[[], float]) -> None:
        self._steady_s = steady_s
        self._until: dict[str, float] = {}

    def open(self, subject: str) -> None:
        """Open the keystore for a subject, from now on for ten minutes."""
        now_s = self._steady_s()
        self._until = {each: until for each, until in self._until.items() if now_s < until}
        self._until[subject] = now_s + OPEN_S

    def close(self, subject: str) -> None:
        """Close it for a subject, if it is open."""
        self._until.pop(subject, None)

    def close_all(self) -> None:
        """Close it for everybody: what some of them opened it with may not open it any more."""
        self._until.clear()

    def check(self, subject: str, act: str) -> None:
        """Raise KeystoreLocked unless the subject has the keystore open; act: the method that needs it."""
        if self._steady_s() >= self._until.get(subject, float("-inf")):
            raise KeystoreLocked(f"{act} needs a slot of the keystore opened first", act=act)
