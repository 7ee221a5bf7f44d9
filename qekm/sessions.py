"""Own the sessions: who proved a command password a short time ago. Memory only; a restart ends them all.

Of a session only a hash is kept, and the identity and the estate go into it: whoever has stolen one finds
nothing with another certificate, and nothing to send in the memory of the service.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from qekm.errors import PasswordNeeded
from qekm.sealing.seals import encoded

LENGTH = 32  # random bytes
MOST = 16  # of one identity: the oldest ends when there are more

Place = bytes  # by which a session is found: a hash


@dataclass(frozen=True, slots=True)
class Session:
    """Who opened a session, by which certificate, when, and for how long at most."""

    actor: str
    serial: str
    open_s: float
    most_s: float


class Sessions:
    """All sessions of one estate."""

    def __init__(
        self,
        estate: bytes,
        minutes: Callable[[], int],
        steady_s: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        """`minutes`: how long a session lasts, asked when it is opened and whenever it is used.

        The less counts: whoever has stolen a session cannot make it last.
        """
        self._estate, self._minutes = estate, minutes
        self._steady_s, self._random_bytes = steady_s, random_bytes
        self._sessions: dict[Place, Session] = {}  # oldest first
        self._watchers: list[Callable[[Place], None]] = []

    def watch(self, ended: Callable[[Place], None]) -> None:
        """Call `ended` with each session that ends before its time."""
        self._watchers.append(ended)

    def open(self, actor: str, serial: str) -> bytes:
        """Return a new session of an identity, opened by the certificate of this serial."""
        self._sessions = {place: each for place, each in self._sessions.items() if self._left_s(each) > 0}
        own = [place for place, each in self._sessions.items() if each.actor == actor]
        self._end(own[: max(0, len(own) - MOST + 1)])
        value = self._random_bytes(LENGTH)
        self._sessions[self._place(actor, value)] = Session(
            actor, serial, self._steady_s(), self._minutes() * 60
        )
        return value

    def check(self, actor: str, value: bytes) -> Place:
        """Return the place of an identity's session; PasswordNeeded unless it is open."""
        place = self._place(actor, value)
        session = self._sessions.get(place)
        if session is None or self._left_s(session) <= 0:
            what = "its session has ended" if value else "the call came without a session"
            raise PasswordNeeded(f"{actor} has a command password, and {what}", account=actor)
        return place

    def left_s(self, actor: str, value: bytes) -> float:
        """Return the seconds that are left of a session; PasswordNeeded unless it is open."""
        return self._left_s(self._sessions[self.check(actor, value)])

    def left_of(self, place: Place) -> float:
        """Return the seconds that are left of the session at a place, 0 if it has ended."""
        session = self._sessions.get(place)
        return 0.0 if session is None else max(0.0, self._left_s(session))

    def end(self, actor: str, value: bytes) -> None:
        """End one session of an identity, if it is open."""
        self._end([place for place in [self._place(actor, value)] if place in self._sessions])

    def end_all(self, actor: str) -> None:
        """End every session of an identity."""
        self._end([place for place, each in self._sessions.items() if each.actor == actor])

    def end_of(self, serial: str) -> None:
        """End every session that was opened by the certificate of a serial, which is refused from now on."""
        self._end([place for place, each in self._sessions.items() if each.serial == serial])

    def _end(self, places: list[Place]) -> None:
        for place in places:
            del self._sessions[place]
            for ended in self._watchers:
                ended(place)

    def _left_s(self, session: Session) -> float:
        return session.open_s + min(session.most_s, self._minutes() * 60) - self._steady_s()

    def _place(self, actor: str, value: bytes) -> Place:
        return hashlib.sha256(encoded(("QEKM SESSION 1", self._estate, actor, value))).digest()
