"""A server that is silent or far behind is told of once, and so is that it is back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from qekm.alarms.alarm import Severity
from qekm.alarms.peers import PeerAlarms
from qekm.alarms.standing import Standing
from qekm.audit import SERVICE, occurred
from qekm.model import AuditRecord, Change, Outcome, Peer, PeerState


@dataclass
class Link:
    """How the link to a server is, as a test says."""

    connected: bool = True
    lag_records: int = 0
    lag_seconds: float = 0.0
    heard_time_us: int = 1_000_000
    last_error: str = ""
    known: bool = True
    differences: tuple[str, ...] = ()
    read_only: str = ""


@dataclass
class Site:
    """Two other servers, and who looks after them."""

    links: dict[str, Link] = field(default_factory=lambda: {"b": Link(), "c": Link()})
    records: list[AuditRecord] = field(default_factory=list)
    now_s: float = 100.0

    def __post_init__(self) -> None:
        """Begin."""
        settings = {"peers.lagSeconds": 60}
        clocks = (lambda: 5), (lambda: self.now_s)
        self.alarms = PeerAlarms(self, self.links.get, settings, self.commit, clocks)

    @property
    def others(self) -> list[Peer]:
        """Return the servers."""
        return [Peer(name, "", b"", 1, PeerState.JOINED, b"", 1, 1) for name in self.links]

    async def commit(self, changes: Sequence[Change]) -> None:
        """Stand for the store."""
        self.records += [each for each in changes if isinstance(each, AuditRecord)]

    async def tick(self, seconds: float = 0.0) -> list[tuple[str, str]]:
        """Look, so much later; returns what is recorded by that."""
        self.now_s += seconds
        self.records.clear()
        await self.alarms.tick()
        return [(each.event, each.outcome.name) for each in self.records]


async def test_silence_is_told_once_and_so_is_its_end() -> None:
    site = Site()
    assert await site.tick() == []
    site.links["b"].connected, site.links["b"].last_error = False, "server b was silent for 4 s"
    assert await site.tick(9.9) == []
    assert site.alarms.lines() == []
    assert await site.tick(0.2) == [("peer.silent", "FAILURE")]
    assert await site.tick(600) == []
    assert site.alarms.lines() == [
        "server b is silent since 1970-01-01 00:00:01 UTC: server b was silent for 4 s"
    ]
    site.links["b"].connected = True
    assert await site.tick() == [("peer.heard", "SUCCESS")]
    assert site.alarms.lines() == []
    assert await site.tick(600) == []


async def test_a_server_that_never_came_since_the_start_is_silent() -> None:
    site = Site({"b": Link(connected=False, heard_time_us=0)})
    assert await site.tick() == []
    assert await site.tick(10) == [("peer.silent", "FAILURE")]
    assert site.alarms.lines() == ["server b is silent since this server started"]


async def test_a_server_that_joined_and_never_came_is_named_with_what_to_do() -> None:
    site = Site({"b": Link(connected=False, heard_time_us=0, known=False)})
    await site.tick()
    assert await site.tick(10) == [("peer.silent", "FAILURE")]
    (line,) = site.alarms.lines()
    assert "never connected" in line and line.endswith("qekm peers remove b")


async def test_a_link_that_comes_and_goes_is_not_silent() -> None:
    site = Site()
    for _ in range(9):
        site.links["b"].connected = False
        assert await site.tick(6) == []
        site.links["b"].connected = True
        assert await site.tick(1) == []


async def test_a_lag_is_told_once_and_so_is_its_end() -> None:
    site = Site()
    site.links["c"].lag_seconds, site.links["c"].lag_records = 60.0, 1_200
    assert await site.tick() == []
    site.links["c"].lag_seconds = 61.0
    assert await site.tick() == [("peer.lag", "FAILURE")]
    assert await site.tick() == []
    assert site.alarms.lines() == ["server c lacks 1,200 records of this one, for 61 s now"]
    site.links["c"].lag_seconds = 0.0
    assert await site.tick() == [("peer.lag", "SUCCESS")]


async def test_what_differs_and_who_gives_no_keys_is_in_every_status() -> None:
    site = Site()
    site.links["b"].differences = ("keys 01", "drives A", "keys 02", "keys 03")
    site.links["c"].read_only = "rows differ"
    assert site.alarms.lines() == [
        "the stores of this server and b differ, neither gives new keys: keys 01, drives A, keys 02, …",
        "server c gives no new keys: rows differ",
    ]


async def test_a_server_that_was_removed_is_forgotten_and_begins_anew() -> None:
    site = Site()
    site.links["b"].connected = False
    await site.tick()
    await site.tick(20)
    gone = site.links.pop("b")
    assert await site.tick(20) == [("peer.heard", "SUCCESS")]
    assert await site.tick(20) == []
    assert site.alarms.lines() == []
    site.links["b"] = gone
    assert await site.tick(20) == []
    assert await site.tick(10) == [("peer.silent", "FAILURE")]


async def test_what_stands_of_a_server_ends_when_it_is_removed() -> None:
    site = Site({"b": Link(False, 9, 61.0, differences=("keys 01",)), "c": Link()})
    await site.tick()
    await site.tick(20)
    standing = Standing(lambda: Severity.NOTICE, lambda: 1)
    for event, what in (
        ("peer.silent", "server b is silent since this server started"),
        ("peer.lag", "server b lacks 9 records of this one, for 61 s now"),
        ("peer.diverge", "the stores of this server and b differ: keys 01"),
    ):
        standing.take(occurred(1, event, SERVICE, Outcome.FAILURE, message=what))
    assert {each.key for each in standing} == {("peer." + e, "b") for e in ("silent", "lag", "diverge")}
    del site.links["b"]
    await site.tick()
    for record in site.records:
        standing.take(record)
    assert not list(standing) and len(site.records) == 3
    assert await site.tick() == []
