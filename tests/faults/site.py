"""A key manager of its own, its drive authority, and two drives that work there while it is hurt."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from qekm.clock import now_us
from qekm.v1.drives_pb2 import CreateAuthorityRequest
from qekm_gateway.simulator.anchors import Anchors, load_anchors
from qekm_gateway.simulator.authority import make_authority, make_drive
from qekm_gateway.simulator.drive import Drive
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import Server
from tests.system.processes import Estate, made

SERIALS = ("001300000392", "001310000363")
# At the rate of a test a drive asks for more new keys than any drive does in an hour.
_PROPERTIES = {"drive__creationsPerHour": "1000000"}


@dataclass(frozen=True, slots=True)
class Site:
    """A key manager, the drives' port, which stays the same however often a gateway is started, and drives."""

    estate: Estate
    port: int
    drives: tuple[Drive, ...]
    anchors: Anchors

    def library(self, drive: Drive) -> Library:
        """Return a partition of one drive, so that what its retries met is counted by drive."""
        servers = [Server("127.0.0.1", self.port)]
        return Library("LIB1", [drive], servers, self.anchors, os.urandom, now_us)


@contextmanager
def working(path: Path, keys: int, **properties: str) -> Iterator[Site]:
    """Make and start a key manager that knows the authority of two drives; nothing of it is left behind."""
    port = steady_port()
    wanted = _PROPERTIES | {"TransportListener__tcp__port": str(port)} | properties
    authority = make_authority(now_us())
    with made(path, keys=keys, **wanted) as estate:
        estate.start()
        with estate.client() as client:
            der = authority.certificate.public_bytes(Encoding.DER)
            client.drives.CreateAuthority(CreateAuthorityRequest(certificate=der))
        estate.wait_gateway()
        drives = tuple(make_drive(authority, serial, now_us()) for serial in SERIALS)
        yield Site(estate, port, drives, load_anchors([], [estate.home.trust]))


def steady_port() -> int:
    """Return a free port that nobody's outgoing connection is given while the gateway is down."""
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(max(1_024, first - 12_000), first)
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::", port))
            except OSError:
                continue
            return port
