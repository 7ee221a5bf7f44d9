"""A pair is upgraded, one server after the other, from the release before this one: drives work throughout.

The former release is its real programs; while the two differ, each has what the other changes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qekm import __version__
from tests.faults.verdict import judge, read_book
from tests.peers import release
from tests.peers.agreeing import conflicts, unread
from tests.peers.namespaces import Network
from tests.peers.pair import caught_up, differences, paired, settle
from tests.peers.server import ASKING_S, Server, until
from tests.peers.site import Site, work

KEYS = 2_048
UNDER_WAY = 100  # records: two drives at work make a few dozen in a second


@pytest.fixture
def site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a pair of the former release."""
    folder, version = tmp_path_factory.mktemp("upgrade"), release.former_version()
    try:
        former = release.install(version, folder / version)
    except release.NoHistoryError as error:
        pytest.skip(f"{version} cannot be built here: {error}")
    with paired(network, folder, KEYS, former) as site:
        assert [version_of(server) for server in site.servers] == [version, version]
        yield site


def version_of(server: Server) -> str:
    """Return which release a server says it is."""
    return str(server.ask("status")["version"])


def upgrade(server: Server) -> None:
    """Have a server be of this release from now on, as its operator does it: stop, install, start."""
    assert set(server.estate.stop().values()) == {0}
    server.release = None
    server.start()
    assert version_of(server) == __version__


def groups(server: Server) -> set[str]:
    """Return the names of the groups that a server has."""
    return {row["name"] for row in server.ask("groups", "list")["groups"]}


def agree(site: Site, name: str) -> None:
    """Change something at each server; see that the other has it, and that no row differs."""
    made = {f"{name}-{server.host.name}" for server in site.servers}
    for server in site.servers:
        server.ask("groups", "create", f"{name}-{server.host.name}")
    until(lambda: all(made <= groups(server) for server in site.servers), "a group is at one server only")
    until(lambda: caught_up(*site.servers, within=UNDER_WAY), "one lags behind", every_s=ASKING_S)
    assert [differences(server) for server in site.servers] == [[], []]


def test_a_pair_is_upgraded_while_drives_work(site: Site) -> None:
    alpha, beta = site.servers
    with site.at_work(order=((alpha, beta), (beta, alpha))) as hands:
        work(hands, 20)
        agree(site, "before")
        upgrade(beta)
        work(hands, 20)
        agree(site, "between")
        upgrade(alpha)
        work(hands, 20)
        agree(site, "after")
    until(lambda: caught_up(alpha, beta), "the servers do not have the same", every_s=ASKING_S)
    books = read_book(*site.books)
    for server in site.servers:
        assert unread(site, server, books[:20] + books[-20:]) == []
    settle(alpha, beta)
    for server in site.servers:
        server.estate.stop()
    assert conflicts(alpha, beta) == []
    for server in site.servers:
        assert judge(server.home, site.books).flaws == []
