"""A server's date is set years off, and back, while drives work.

Keys, ids, the trail's order and what is connected stay unharmed; who connects anew outside the validity of
the certificates is refused by a message that names the clock, and comes in when the date is right again.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from qekm.clock import now_us
from qekm.store import Store
from qekm_gateway.simulator.authority import make_authority
from tests.faults.verdict import judge
from tests.peers.agreeing import conflicts
from tests.peers.harm import Clock
from tests.peers.namespaces import Network, UnavailableError
from tests.peers.pair import caught_up, differences, paired, peers, settle
from tests.peers.server import ASKING_S, Server, until
from tests.peers.site import Site, running, sited, trust, work

# Years. Certificates of servers and persons are valid for one from now; those of the drives, of whom each
# session is new to a server, for ten from five years ago.
STEPS = (4.0, -4.0, 1 / 365, -1 / 365, 0.0)
_DRIVES_SINCE_US = 5 * 31_557_600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Dated:
    """A site of one server whose clock can be set."""

    site: Site
    clock: Clock

    @property
    def server(self) -> Server:
        """The server."""
        return self.site.servers[0]

    def status(self, **environ: str) -> subprocess.CompletedProcess[str]:
        """Ask the server how it is, on a new connection, by a program whose clock is right unless told."""
        return self.server.operate("status", "--json", **environ)


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Clock:
    """Return a clock that can be set; skips where there can be none."""
    try:
        return Clock(tmp_path_factory.mktemp("clock") / "own")
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def dated(network: Network, clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dated]:
    """Return a server that runs with that clock."""
    folder = tmp_path_factory.mktemp("dated")
    authority = make_authority(now_us() - _DRIVES_SINCE_US)
    server = Server.make(network["alpha"], folder / "alpha", 256)
    with running(server, environ=clock.environ):
        trust(server, authority)
        yield Dated(sited(network, folder, authority, (server,), now_us() - _DRIVES_SINCE_US), clock)


@pytest.mark.parametrize("years", [4.0, -4.0])
def test_who_connects_outside_the_validity_is_told_of_the_clock(dated: Dated, years: float) -> None:
    assert dated.status().returncode in (0, 5)
    dated.clock.step(years)
    refused = dated.status()
    print(refused.stderr)
    assert refused.returncode not in (0, 5)
    assert "clock" in refused.stderr
    dated.clock.step(0)
    until(lambda: dated.status().returncode in (0, 5), "the right date does not help")


def test_a_client_with_a_wrong_clock_is_told_of_it(dated: Dated, tmp_path: Path) -> None:
    own = Clock(tmp_path / "client's")
    for years in (4.0, -4.0):
        own.step(years)
        refused = dated.status(**own.environ)
        print(refused.stderr)
        assert refused.returncode not in (0, 5)
        assert "clock" in refused.stderr
    own.step(0)
    assert dated.status(**own.environ).returncode in (0, 5)


def test_years_change_nothing_for_who_is_connected(dated: Dated) -> None:
    server = dated.server
    pids = [server.process(name).pid for name in ("server", "gateway")]
    with closing(server.estate):  # whose place another test has next
        with dated.site.at_work() as hands:
            for years in STEPS:
                work(hands)
                dated.clock.step(years)
                work(hands, 4)
        assert [hand.repeated for hand in hands] == [0, 0], [hand.tickets for hand in hands]
        assert [server.process(name).pid for name in ("server", "gateway")] == pids
    verdict = judge(server.home, dated.site.books)
    met = [str(trouble) for hand in hands for _, trouble in hand.tickets]
    print(
        f"{len(STEPS)} steps of the date under {sum(hand.exchanges for hand in hands)} exchanges:",
        verdict,
        met,
    )
    assert verdict.flaws == []
    assert ordered(server) > sum(hand.exchanges for hand in hands)


def ordered(server: Server) -> int:
    """Return how many audit records there are; AssertionError unless each number follows on the last."""
    with Store.looked_at(server.home.store) as store:
        numbers = [item.sequence for item in store.iterate_audit()]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    return len(numbers)


_DAY = 1 / 365  # in years
UNDER_WAY = 100  # records: two drives at work make a few dozen in a second


@pytest.fixture(scope="module")
def pair(network: Network, clock: Clock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dated]:
    """Return a pair whose second server has that clock."""
    authority, folder = make_authority(now_us() - _DRIVES_SINCE_US), tmp_path_factory.mktemp("pair")
    with paired(network, folder) as site:
        alpha, beta = site.servers
        beta.estate.stop()
        beta.start(clock.environ)
        trust(alpha, authority)
        since_us = now_us() - _DRIVES_SINCE_US
        yield Dated(sited(network, folder, authority, site.servers, since_us), clock)


@pytest.mark.parametrize("years", [-4.0, _DAY])
def test_years_between_two_servers_harm_neither(pair: Dated, years: float) -> None:
    """A server that by its own date has no valid certificate renews it: the stream with the old one ends.

    The stream comes again with the right date, and with a certificate that is right by then.
    """
    alpha, beta = pair.site.servers
    for server, environ in ((alpha, {}), (beta, pair.clock.environ)):
        server.start(environ)  # the one before has stopped them
    until(lambda: caught_up(alpha, beta), "the servers do not have the same", every_s=ASKING_S)
    with pair.site.at_work(f"{abs(years):.0f}", ((alpha, beta), (beta, alpha))) as hands:
        work(hands, 4)
        pair.clock.step(years)
        begun, links = time.monotonic(), list[bool]()
        while time.monotonic() - begun < 5:
            work(hands, 4)
            links += [row["connected"] for row in peers(alpha)]
        pair.clock.step(0)
        work(hands, 4)
        until(lambda: beta.order("status")[0] in (0, 5), "the right date does not help", every_s=ASKING_S)
        wait_s = until(lambda: caught_up(alpha, beta, within=UNDER_WAY), "no link again", every_s=ASKING_S)
    print(f"{years:+.3f} years: linked at {sum(links)} of {len(links)} looks; they met after {wait_s:.1f} s")
    assert years != _DAY or all(links), "within the validity of all certificates an open link stays"
    assert [hand.repeated for hand in hands] == [0, 0], [hand.tickets for hand in hands]
    settle(alpha, beta)
    assert differences(alpha) == differences(beta) == []
    for server in pair.site.servers:
        server.estate.stop()
    assert conflicts(alpha, beta) == []
    for server in pair.site.servers:
        verdict = judge(server.home, pair.site.books)
        print(f"{server.host.name}: {ordered(server)} records in order:", verdict)
        # A mount that had to ask the other server as well may have been given a key of each.
        assert [verdict.lost, verdict.unreadable, verdict.twice, verdict.free, verdict.trail] == [[]] * 5
