"""What every stream to another server stands on: store, servers, who decides on rows, clocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from qekm.errors import QekmError
from qekm.model import Change, KeyState, Peer
from qekm.replication import comparing
from qekm.replication.conversation import Own
from qekm.replication.messages import Value
from qekm.store import Line, PrimaryKey

Results = Sequence[QekmError | None]


class Rows(comparing.Rows, Protocol):
    """The store, as far as replication needs it."""

    on_commit: list[Callable[[], None]]

    @property
    def journal_end(self) -> int:
        """Return the last place in the journal."""

    def submit(self, units: Sequence[Sequence[Change]]) -> asyncio.Future[list[QekmError | None]]:
        """Commit units of our own."""

    def submit_stamped(self, units: Sequence[Sequence[Change]]) -> asyncio.Future[list[QekmError | None]]:
        """Commit units that hold the journal's entries."""

    async def commit(self, changes: Sequence[Change]) -> None:
        """Commit changes of our own; StoreFailed."""

    def shared_rows(self, table: str, keys: Sequence[PrimaryKey]) -> list[tuple[Value, ...]]:
        """Return rows of a shared table; from a thread."""


class Takes(Protocol):
    """What decides which rows of others hold (qekm.replication.merging)."""

    def take(self, line: Line) -> Sequence[Change]:
        """Return what a row changes, with its entry; empty if it is stale. BatchRefused."""


class Servers(Protocol):
    """The servers of the estate (qekm.peers)."""

    @property
    def others(self) -> Sequence[Peer]:
        """Return the other servers that have joined."""

    def calls(self, name: str) -> bool:
        """Tell whether this server opens the link to another."""

    def greet(self, name: str, instance: bytes, epoch: int) -> Sequence[Change]:
        """Return what changes by a server's hello; PeerRefused."""


class Pool(Protocol):
    """The keys, as far as others are told of them, and whether new ones are given out (qekm.keystore)."""

    read_only: str

    @property
    def record_version(self) -> int:
        """Return the version of the record key for what is sealed now."""

    def versions(self) -> Mapping[int, int]:
        """Return how many keys are sealed under each version."""

    def own_counts(self) -> Mapping[KeyState, int]:
        """Return how many keys of this server's own are in each state."""

    def freeze(self, reason: str) -> None:
        """Give no new keys."""

    def thaw(self, reason: str) -> None:
        """Give new keys again if that was the reason why none were given."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What all streams of a service have in common."""

    own: Own
    store: Rows
    merging: Takes
    servers: Servers
    pool: Pool
    settings: dict[str, str]
    now_us: Callable[[], int]
    steady_s: Callable[[], float]
    random_bytes: Callable[[int], bytes]
