"""The wire between two servers is cut while both give keys: no key twice, no row in two versions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.faults.verdict import judge
from tests.peers.agreeing import conflicts
from tests.peers.namespaces import Host, Network
from tests.peers.pair import caught_up, differences, paired, settle
from tests.peers.server import ASKING_S, until
from tests.peers.site import Site, work
from tests.peers.sizes import SIZES
from tests.peers.wires import cut, drop, flapping, reset

Cut = Callable[[Host, Host], AbstractContextManager[object]]
CUTS: dict[str, Cut] = {
    "both ways": cut,
    "one way": drop,
    "the other way": lambda one, other: drop(other, one),
    "reset": reset,
    "flapping": lambda one, other: flapping(lambda: cut(one, other), 0.7),
    "flapping one way": lambda one, other: flapping(lambda: drop(one, other), 0.7),
}

POOL = 2_048  # in a cut no server gets new keys protected, and drives work all the while
UNDER_WAY = 100  # records: two drives at work make a few dozen in a second


@pytest.fixture(scope="module")
def site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a pair that serves drives."""
    with paired(network, tmp_path_factory.mktemp("partitions"), POOL) as site:
        yield site


def test_a_cut_wire_between_servers_is_no_conflict(site: Site) -> None:
    alpha, beta = site.servers

    def met() -> bool:
        return caught_up(alpha, beta, within=UNDER_WAY)

    with site.at_work(order=((alpha, beta), (beta, alpha))) as hands:
        for name, make in CUTS.items():
            before = [hand.exchanges for hand in hands]
            with make(alpha.host, beta.host):
                work(hands, 3)
                time.sleep(SIZES.partition_s)
                work(hands, 3)
            seconds = until(met, f"{name}: the servers do not meet again", every_s=ASKING_S)
            given = [hand.exchanges - count for hand, count in zip(hands, before, strict=True)]
            print(f"{name}: {given} exchanges at the two servers; they met again in {seconds:.1f} s")
            until(lambda: not differences(alpha), f"{name}: the stores differ")
    assert [hand.repeated for hand in hands] == [0, 0]
    settle(alpha, beta)
    assert differences(alpha) == differences(beta) == []
    for server in site.servers:
        assert set(server.estate.stop().values()) == {0}
    assert conflicts(alpha, beta) == []
    for server in site.servers:
        verdict = judge(server.home, site.books)
        print(f"{server.host.name}:", verdict)
        assert verdict.flaws == []


def test_control_a_row_of_another_version_is_found(site: Site, tmp_path: Path) -> None:
    """The servers do not run any more: a row is changed as a server would change it that merges wrongly."""
    import sqlite3

    alpha, beta = site.servers
    alpha.estate.stop()
    beta.estate.stop()
    with sqlite3.connect(beta.home.store) as store:
        store.execute("UPDATE keys SET version = version + 1 WHERE rowid = (SELECT min(rowid) FROM keys)")
    store.close()
    assert len(conflicts(alpha, beta)) == 2, "both versions of the row"
