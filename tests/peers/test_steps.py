"""Two hundred things in any order happen to two servers: no key is lost, none is given twice, both agree."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from qekm.store import Store
from tests.faults.verdict import Entry, judge, read_book
from tests.peers.agreeing import conflicts, held, unread
from tests.peers.namespaces import Network
from tests.peers.pair import differences, paired, settle
from tests.peers.server import Server
from tests.peers.site import Site
from tests.peers.sizes import SEED, SIZES
from tests.peers.walking import Walk


@pytest.fixture(scope="module")
def site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a pair that serves drives."""
    with paired(network, tmp_path_factory.mktemp("steps")) as site:
        yield site


def twice(servers: tuple[Server, ...], entries: list[Entry]) -> list[str]:
    """Return the keys that went to two cartridges, by the trails of stopped servers and by the books."""
    found = defaultdict[str, set[str]](set)
    for entry in entries:
        found[entry.alias].add(entry.volser)
    for server in servers:
        with Store.looked_at(server.home.store) as store:
            for item in store.iterate_audit():
                if item.record.event == "key.create":
                    found[item.record.alias].add(item.record.volser)
    return sorted(alias for alias, volsers in found.items() if len(volsers) > 1)


def test_whatever_happens_both_servers_agree_and_read_every_key(site: Site) -> None:
    alpha, beta = site.servers
    walk, begun = Walk(site, random.Random(SEED)), time.monotonic()
    print(f"seed {SEED}")
    try:
        walk.walk(SIZES.steps)
    finally:
        walk.heal()
        walk.go_on()
    done = ", ".join(f"{count} {name}" for name, count in walk.counts.most_common())
    print(f"{SIZES.steps} steps in {time.monotonic() - begun:.0f} s: {done}", *walk.refused, sep="\n")
    assert differences(alpha) == differences(beta) == []
    assert unread(site, alpha, walk.given) == unread(site, beta, walk.given) == []
    settle(alpha, beta)
    for server in site.servers:
        server.estate.stop()
    assert conflicts(alpha, beta) == []
    assert held(alpha) == held(beta)
    assert twice(site.servers, walk.given) == []
    for server in site.servers:
        verdict = judge(server.home, site.books)
        print(f"{server.host.name}:", verdict)
        assert verdict.flaws == []


def test_control_a_key_that_two_cartridges_claim_is_found(site: Site, tmp_path: Path) -> None:
    for server in site.servers:
        server.estate.stop()
    claimed = read_book(*site.books)[0]
    assert twice(site.servers, [claimed._replace(volser="Z00000L4")]) == [claimed.alias]
    book = tmp_path / "book"
    book.write_text(",".join(claimed._replace(volser="Z00000L4")) + "\n")
    assert judge(site.servers[0].home, [*site.books, book]).twice == [claimed.alias]


def test_control_a_row_that_changed_behind_a_servers_back_is_found(site: Site) -> None:
    import sqlite3

    alpha, beta = site.servers
    for server in site.servers:
        server.estate.stop()
    with sqlite3.connect(beta.home.store) as store:
        store.execute("DELETE FROM keys WHERE rowid = (SELECT min(rowid) FROM keys)")
    store.close()
    assert len(conflicts(alpha, beta)) == 1
    assert held(beta) == held(alpha) - 1
