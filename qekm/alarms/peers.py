"""Tell of other servers that are silent or far behind: once in the trail and the log, and in every status.

The original's second server could be gone for months, and nobody was told.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from qekm.audit import SERVICE, occurred
from qekm.model import AuditRecord, Change, Outcome, Peer
from qekm.properties.peers import LAG

_log = logging.getLogger(__name__)

SILENCE_S = 10.0
_NAMED = 3  # rows in a line


class Status(Protocol):
    """How the link to a server is (qekm.replication.link)."""

    @property
    def connected(self) -> bool:
        """Tell whether a stream stands."""

    @property
    def lag_records(self) -> int:
        """Return how many records of this server the peer lacks."""

    @property
    def lag_seconds(self) -> float:
        """Return for how long it has lacked any."""

    @property
    def heard_time_us(self) -> int:
        """Return when something came last, 0 for never."""

    @property
    def last_error(self) -> str:
        """Return why there is no stream."""

    @property
    def known(self) -> bool:
        """Tell whether a stream to it ever stood."""

    @property
    def differences(self) -> tuple[str, ...]:
        """Return the rows that differ."""

    @property
    def read_only(self) -> str:
        """Return why the peer gives no new keys."""


class Servers(Protocol):
    """The servers of the estate (qekm.peers)."""

    @property
    def others(self) -> Sequence[Peer]:
        """Return the other servers that have joined."""


class PeerAlarms:
    """Looks every second; made and run in one event loop."""

    def __init__(
        self,
        servers: Servers,
        status: Callable[[str], Status | None],
        settings: Any,
        commit: Callable[[Sequence[Change]], Awaitable[None]],
        clocks: tuple[Callable[[], int], Callable[[], float]],
    ) -> None:
        """status: of the link to a server. settings: typed values. clocks: now_us, steady."""
        self._servers, self._status, self._settings, self._commit = servers, status, settings, commit
        self._now_us, self._steady_s = clocks
        self._seen_s: dict[str, float] = {}  # when each was last connected
        self._silent: set[str] = set()
        self._late: set[str] = set()
        self._differing: set[str] = set()

    async def tick(self) -> None:
        """Look at every server, and record what is new; StoreFailed."""
        links = dict(self._links())
        self._seen_s = {name: since_s for name, since_s in self._seen_s.items() if name in links}
        gone = (self._silent | self._late | self._differing) - links.keys()
        records = [record for name in sorted(gone) for record in self._forget(name)]
        records += [record for name, link in links.items() for record in self._judge(name, link)]
        if records:
            await self._commit(records)

    def lines(self) -> list[str]:
        """Return what a status says."""
        return [line for name, link in self._links() for line in self._of(name, link)]

    def _links(self) -> Iterator[tuple[str, Status]]:
        for peer in self._servers.others:
            link = self._status(peer.name)
            if link is not None:
                yield peer.name, link

    def _judge(self, name: str, link: Status) -> Iterator[AuditRecord]:
        now_s = self._steady_s()
        if link.connected or name not in self._seen_s:
            self._seen_s[name] = now_s
        is_silent = now_s - self._seen_s[name] >= SILENCE_S
        if is_silent and name not in self._silent:
            yield self._told("peer.silent", Outcome.FAILURE, self._silence(name, link))
        elif link.connected and name in self._silent:
            yield self._told("peer.heard", Outcome.SUCCESS, f"server {name} is connected again")
        is_late = link.lag_seconds > self._settings[LAG]
        if is_late and name not in self._late:
            yield self._told("peer.lag", Outcome.FAILURE, self._lag(name, link))
        elif not is_late and name in self._late:
            yield self._told("peer.lag", Outcome.SUCCESS, f"server {name} has caught up")
        self._note(self._silent, name, is_silent)
        self._note(self._late, name, is_late)
        self._note(self._differing, name, bool(link.differences))  # recorded by who compares

    def _forget(self, name: str) -> Iterator[AuditRecord]:
        """End what stands of a server that has been removed: nobody else will."""
        ends = (
            (self._silent, "peer.heard", f"server {name} has been removed: nobody waits for it"),
            (self._late, "peer.lag", f"server {name} has been removed: it lacks nothing"),
            (
                self._differing,
                "peer.agree",
                f"the stores of this server and {name} are not compared any more: it has been removed",
            ),
        )
        for names, event, what in ends:
            if name in names:
                names.remove(name)
                yield self._told(event, Outcome.SUCCESS, what)

    @staticmethod
    def _note(names: set[str], name: str, is_in: bool) -> None:
        (names.add if is_in else names.discard)(name)

    def _of(self, name: str, link: Status) -> Iterator[str]:
        if name in self._silent:
            yield self._silence(name, link)
        if name in self._late:
            yield self._lag(name, link)
        if link.differences:
            more = ", …" if len(link.differences) > _NAMED else ""
            rows = ", ".join(link.differences[:_NAMED]) + more
            yield f"the stores of this server and {name} differ, neither gives new keys: {rows}"
        elif link.read_only:
            yield f"server {name} gives no new keys: {link.read_only}"

    @staticmethod
    def _silence(name: str, link: Status) -> str:
        if not link.known:
            what = f"server {name} has joined and was never connected"
            return f"{what}; if it is not there: qekm peers remove {name}"
        since = "since this server started"
        if link.heard_time_us:
            since = (
                f"since {datetime.fromtimestamp(link.heard_time_us // 1_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
            )
        return f"server {name} is silent {since}" + (f": {link.last_error}" if link.last_error else "")

    @staticmethod
    def _lag(name: str, link: Status) -> str:
        return (
            f"server {name} lacks {link.lag_records:,} records of this one, for {link.lag_seconds:.0f} s now"
        )

    def _told(self, event: str, outcome: Outcome, what: str) -> AuditRecord:
        _log.log(logging.ERROR if outcome is Outcome.FAILURE else logging.INFO, "%s", what)
        return occurred(self._now_us(), event, SERVICE, outcome, message=what)
