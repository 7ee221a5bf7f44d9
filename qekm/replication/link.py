"""What there is to say of one other server, whether a stream to it stands or not. Memory only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from qekm.model import Cursor
from qekm.replication.messages import Heartbeat, Hello
from qekm.text import as_line

_VERSION_LENGTH = 40


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """A peer as a person sees it."""

    name: str
    connected: bool
    lag_records: int  # of this server's journal that the peer has not on its disk
    lag_seconds: float  # since the peer had everything
    behind_records: int  # of the peer's journal that are not here
    heard_time_us: int  # 0: never
    last_error: str
    error_time_us: int
    compare_time_us: int  # when the stores were last found to be the same
    differences: tuple[str, ...]
    ready_keys: int
    read_only: str  # why the peer gives no new keys
    version: str
    refused: int
    known: bool  # whether a stream to it ever stood


@dataclass(slots=True)
class Link:
    """One other server."""

    name: str
    cursor: Cursor  # as it is on the disk
    now_us: Callable[[], int]
    steady_s: Callable[[], float]
    connected: bool = False
    acknowledged: int = 0  # of our journal
    beat: Heartbeat = field(default_factory=Heartbeat)
    version: str = ""
    heard_us: int = 0
    heard_s: float = 0.0
    last_error: str = ""
    error_us: int = 0
    differences: tuple[str, ...] = ()
    refused: int = 0
    _mark: tuple[int, float] | None = None  # a place that the peer lacks, and since when; None if it has all

    def begin(self, hello: Hello, acknowledged: int, received: int) -> None:
        """Note that a stream stands."""
        self.connected, self.version = True, as_line(hello.version, _VERSION_LENGTH)
        self.acknowledged, self.beat = acknowledged, Heartbeat()
        if self.cursor.instance != hello.instance:
            self.cursor = Cursor(self.name, hello.instance, received)
        self.heard()

    def end(self, error: str = "", *, still: bool = False) -> None:
        """Note that a stream ended, or that none could be had; still: another one stands."""
        self.connected = self.connected and still
        if error:
            self.last_error, self.error_us = as_line(error), self.now_us()

    def heard(self) -> None:
        """Note that something came."""
        self.heard_us, self.heard_s = self.now_us(), self.steady_s()

    def moved(self, journal_end: int) -> None:
        """Look how far the peer is: after a commit of ours, and after its acknowledgements."""
        if self.acknowledged >= journal_end:
            self._mark = None
        elif self._mark is None or self.acknowledged >= self._mark[0]:
            self._mark = journal_end, self.steady_s()

    def compared(self, differences: tuple[str, ...]) -> None:
        """Take what a comparison found."""
        self.differences = differences
        if not differences:
            self.cursor = replace(self.cursor, compare_time_us=self.now_us())

    def status(self, journal_end: int) -> LinkStatus:
        """Return what there is to say."""
        return LinkStatus(
            self.name,
            self.connected,
            max(0, journal_end - self.acknowledged),
            self.steady_s() - self._mark[1] if self._mark else 0.0,
            max(0, self.beat.sequence - self.cursor.received),
            self.heard_us,
            self.last_error,
            self.error_us,
            self.cursor.compare_time_us,
            self.differences,
            self.beat.ready_keys,
            as_line(self.beat.read_only),
            self.version,
            self.refused,
            bool(self.cursor.instance),
        )
