"""In which order a library asks its servers: as told, but those that gave no answer last for a while."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qekm_gateway.simulator.link import Server


class Order:
    """What a library remembers of servers from one request to the next; `now` in seconds of any clock."""

    def __init__(self, away_seconds: float, now: Callable[[], float]) -> None:
        self._away_seconds = away_seconds
        self._now = now
        self._back: dict[Server, float] = {}  # when each is asked in its place again

    def of(self, servers: Sequence[Server]) -> list[Server]:
        """Return the servers, the one to be asked first at the beginning."""
        now = self._now()
        return sorted(servers, key=lambda server: self._back.get(server, now) > now)

    def away(self, server: Server) -> None:
        """Note that a server gave no answer."""
        self._back[server] = self._now() + self._away_seconds
