"""The wait before a new key leaves: a moment, in which a peer puts on its disk that the key is taken.

Then whoever dies next, the other one knows to which mount the key was given. Where that is not to be had, the
key leaves all the same, or with peers.strict=on it does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from qekm.audit import KEY_CREATED
from qekm.failpoints import failpoint
from qekm.model import AuditRecord, Change
from qekm.properties.peers import STRICT, WAIT


class Links(Protocol):
    """The links to all peers (qekm.replication.links)."""

    @property
    def connected(self) -> bool:
        """Tell whether any peer is connected."""

    @property
    def acknowledged(self) -> int:
        """Return up to which place in the journal some peer has everything on its disk."""

    async def told(self, sequence: int) -> bool:
        """Return True once a peer has this place on its disk, False once none is connected."""


class Settings(Protocol):
    """Typed values by the name of their property."""

    def __getitem__(self, name: str) -> Any:
        """Return a property's value."""


class Journal(Protocol):
    """The store's journal (qekm.store.Store)."""

    @property
    def journal_end(self) -> int:
        """Return the last place of what is committed."""


class Awaiting:
    """Whether an answer may leave. `on`: whether there is a peer at all; all that a single server asks."""

    def __init__(
        self, links: Links, journal: Journal, settings: Settings, is_joined: Callable[[], bool]
    ) -> None:
        self._links, self._journal, self._settings, self._is_joined = links, journal, settings, is_joined
        self._late = 0  # a place that no peer had in time: until one has, nobody waits
        self.on = is_joined()

    def is_alone(self) -> bool:
        """Tell whether no peer is there, where one must know of a new key."""
        return self.on and self._settings[STRICT] == "on" and not self._links.connected

    async def tick(self) -> None:
        """See whether there is a peer."""
        self.on = self._is_joined()

    async def may_leave(self) -> bool:
        """Return whether keys may leave that were committed just now; waits a moment for a peer."""
        is_strict = self._settings[STRICT] == "on"
        if not is_strict and (not self._links.connected or self._links.acknowledged < self._late):
            return True
        place = self._journal.journal_end
        failpoint("peer.before")
        is_told = await self._told(place)
        failpoint("peer.after")
        self._late = 0 if is_told else place
        return is_told or not is_strict

    async def _told(self, place: int) -> bool:
        try:
            async with asyncio.timeout(self._settings[WAIT] / 1_000):
                return await self._links.told(place)
        except TimeoutError:
            return False


def gives_new(changes: Sequence[Change]) -> bool:
    """Tell whether a decision gives a key to write with."""
    return any(isinstance(each, AuditRecord) and each.event == KEY_CREATED for each in changes)
