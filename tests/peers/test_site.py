"""The rig as a whole: drives on one host, servers on others, and what a library sees of each fault."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from qekm.dkp.codes import Ask
from qekm_gateway.simulator.errand import Errand
from qekm_gateway.simulator.link import NoAnswer
from tests.peers.harm import frozen
from tests.peers.namespaces import Network
from tests.peers.site import Site, strangers, work
from tests.peers.wires import cut, drop, reset

Harm = Callable[[Site], AbstractContextManager[object]]


@pytest.fixture(scope="module")
def site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return two servers that do not know each other, and a library that knows both."""
    with strangers(network, tmp_path_factory.mktemp("site")) as site:
        yield site


def mount(number: int) -> Errand:
    """Return what a drive wants for a blank cartridge."""
    return Errand(Ask.CREATE, f"E{number:05d}L4", os.urandom(16))


def asked(site: Site, errand: Errand) -> tuple[str, float]:
    """Have a drive ask the first server alone; return what it met first and after how many seconds."""
    drive, first = site.drives[0], site.servers[0]
    library = site.library(drive, first)
    begun = time.monotonic()
    with site.place.entered():
        try:
            assert library.request(drive.serial, errand).confirmed
        except NoAnswer as problem:
            return str(library.tickets[0][1] if library.tickets else problem), time.monotonic() - begun
    return "", time.monotonic() - begun


HARMS: dict[str, tuple[Harm, str]] = {
    "dropped": (lambda site: cut(site.place, site.servers[0].host), "timed out"),
    "nothing arrives": (lambda site: drop(site.place, site.servers[0].host), "timed out"),
    "nothing returns": (lambda site: drop(site.servers[0].host, site.place), "timed out"),
    "reset": (lambda site: reset(site.place, site.servers[0].host), "refused"),
    "a frozen gateway": (lambda site: frozen(site.servers[0].process("gateway").pid), "no answer in"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_library_sees_each_fault_and_gets_its_key_when_it_is_healed(site: Site, harm: str) -> None:
    cause, sight = HARMS[harm]
    assert asked(site, mount(1))[0] == ""
    with cause(site):
        met, seconds = asked(site, mount(2))
    print(f"{harm}: {met} (all retries: {seconds:.1f} s)")
    assert sight in met
    assert asked(site, mount(3))[0] == ""


def test_drives_go_on_with_the_other_server_when_the_first_is_cut_off(site: Site) -> None:
    alpha, beta = site.servers
    with site.at_work() as hands:
        work(hands)
        with cut(site.place, alpha.host):
            work(hands)
        work(hands)
    assert {server for hand in hands for server, _ in hand.tickets} <= {alpha.address}
    assert any(hand.tickets for hand in hands)
    assert all(len(hand.installed) >= 3 for hand in hands)
    assert beta.ask("drives", "list"), "the other server met a drive"
