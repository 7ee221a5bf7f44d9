"""Ten thousand keys that are made while the wire is cut are on the other server soon after it is healed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.peers.agreeing import conflicts, held, unprotected
from tests.peers.namespaces import Network
from tests.peers.pair import caught_up, differences, paired
from tests.peers.server import ASKING_S, until
from tests.peers.site import Site
from tests.peers.sizes import SIZES
from tests.peers.wires import cut

KEYS = 10_000
PROMISE_S, MOST_S = 30.0, 90.0


@pytest.fixture
def site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a pair."""
    with paired(network, tmp_path_factory.mktemp("catching")) as site:
        yield site


def test_what_was_made_during_a_cut_is_caught_up_in_time(site: Site) -> None:
    alpha, beta = site.servers
    with cut(alpha.host, beta.host):
        begun = time.monotonic()
        alpha.ask("keys", "generate", str(KEYS), "--key-file", str(alpha.home.root_key))
        made = held(alpha)
        time.sleep(max(0.0, SIZES.cut_s - (time.monotonic() - begun)))
        assert held(beta) <= made - KEYS, "the control: nothing crosses a cut wire"
    seconds = until(lambda: held(beta) >= made, "the keys do not come", MOST_S)
    print(f"{KEYS:,} keys caught up {seconds:.1f} s after the wire was healed (promised: {PROMISE_S:g} s)")
    until(lambda: unprotected(alpha) == unprotected(beta) == 0, "keys are not READY", every_s=ASKING_S)
    until(lambda: caught_up(alpha, beta), "the servers do not have the same", every_s=ASKING_S)
    assert differences(alpha) == []
    for server in site.servers:
        server.estate.stop()
    assert conflicts(alpha, beta) == []
