"""The certificates of servers and gateways are renewed twenty times while drives work: no request fails.

As an operator does it while all runs: `qekm certificates renew`, and later, when no stream shows it any more,
`revoke` for the one before.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest
from cryptography import x509

from qekm import pki
from tests.faults.verdict import judge
from tests.peers.agreeing import conflicts
from tests.peers.namespaces import Host, Network
from tests.peers.pair import caught_up, differences, paired, peers, settle
from tests.peers.server import ASKING_S, SSL, Server, until
from tests.peers.site import Site, work
from tests.peers.wires import Fault, cut, reset
from tests.system.processes import Process

ROTATIONS = 20
CUT_EVERY = 5  # rotations: an odd number, so that each server's turn comes
UNDER_WAY = 100  # records: two drives at work make a few dozen in a second
KEYS = 4_096  # two drives here use up 400 in one cut, while no key can become READY at the other server
PAIRS = ("gateway", "server")  # in a home


@pytest.fixture
def site(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a pair whose gateways look at their certificates all the time."""
    with paired(network, tmp_path_factory.mktemp("rotations"), KEYS) as site:
        for server in site.servers:
            server.process("gateway").stop()
            eager = ("tests.peers.eager_gateway",)
            server.estate.gateway = Process(server.home, "gateway", program=eager, under=server.host.inside)
            server.start()
        yield site


def on_disk(server: Server, name: str) -> str:
    """Return the serial of a certificate in a server's home."""
    return pki.serial_of(x509.load_pem_x509_certificate(server.home.certificate(name).read_bytes()))


def shown(server: Server) -> str:
    """Return the serial of the certificate that whoever connects to a server is shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        server.host.entered(),
        socket.create_connection((server.host.address, SSL)) as plain,
        context.wrap_socket(plain) as connection,
    ):
        leaf = connection.getpeercert(binary_form=True)
    assert leaf is not None
    return pki.serial_of(x509.load_der_x509_certificate(leaf))


def came(server: Server) -> float:
    """Return when a server's newest gateway connected, s."""
    times = [each["connect_time"] for each in server.ask("status")["gateways"]]
    return max((datetime.fromisoformat(each).timestamp() for each in times), default=0.0)


def rotate(server: Server, former: dict[Server, list[str]]) -> None:
    """Renew what a server and its gateway show; revoke what they showed before they were renewed last."""
    for serial in former.get(server, ()):
        server.ask("certificates", "revoke", serial, "--only-this")
    former[server] = [on_disk(server, name) for name in PAIRS]
    for name in PAIRS:
        server.ask("certificates", "renew", name)
        assert on_disk(server, name) not in former[server]
    renewed_s = server.home.certificate("gateway").stat().st_mtime
    until(lambda: came(server) > renewed_s, "the gateway does not come again", every_s=ASKING_S)
    assert shown(server) == on_disk(server, "server")


def refused(server: Server) -> set[str]:
    """Return the serials that a server knows to be revoked."""
    rows = server.ask("certificates", "list")["certificates"]
    return {row["serial"] for row in rows if row["revoke_time"]}


def part(site: Site, make: Callable[[Host, Host], Fault]) -> None:
    """Hurt the servers' wire until both have noticed, and heal it: who calls shows what is on the disk."""
    alpha, beta = site.servers
    with make(alpha.host, beta.host):
        until(
            lambda: not any(row["connected"] for server in site.servers for row in peers(server)),
            "nobody notices that the wire is hurt",
            every_s=ASKING_S,
        )
    until(lambda: caught_up(alpha, beta, within=UNDER_WAY), "no link anew", every_s=ASKING_S)


def test_twenty_rotations_fail_no_request(site: Site) -> None:
    alpha, beta = site.servers
    former, begun = dict[Server, list[str]](), time.monotonic()
    with site.at_work(order=((alpha, beta), (beta, alpha))) as hands:
        for number in range(ROTATIONS):
            rotate(site.servers[number % 2], former)
            part(site, reset if number % CUT_EVERY else cut)
            work(hands)
    exchanges, seconds = sum(hand.exchanges for hand in hands), time.monotonic() - begun
    print(f"{ROTATIONS} rotations in {seconds:.0f} s under {exchanges} exchanges")
    assert [(hand.repeated, hand.tickets) for hand in hands] == [(0, []), (0, [])]
    settle(alpha, beta)
    assert len(refused(alpha)) >= len(PAIRS) * (ROTATIONS - len(site.servers))
    assert differences(alpha) == differences(beta) == []
    for server in site.servers:
        server.estate.stop()
    assert conflicts(alpha, beta) == []
    for server in site.servers:
        assert judge(server.home, site.books).flaws == []


def test_control_certificates_that_are_revoked_and_not_renewed_are_refused(site: Site) -> None:
    alpha, beta = site.servers
    with site.at_work(order=((alpha, beta), (alpha, beta))) as hands:
        work(hands)
        alpha.ask("certificates", "revoke", on_disk(alpha, "gateway"))
        until(lambda: any(hand.tickets for hand in hands), "drives get keys by a revoked certificate")
        work(hands)
    assert {server for hand in hands for server, _ in hand.tickets} == {alpha.address}
    beta.ask("certificates", "revoke", on_disk(beta, "server"))
    until(lambda: not any(row["connected"] for row in peers(alpha)), "a revoked server is let in")
    with pytest.raises(AssertionError, match="comes back"):
        until(lambda: caught_up(alpha, beta), "it never comes back", 5.0, ASKING_S)
