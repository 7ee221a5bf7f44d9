"""Two servers of one estate, for every test that asks for them."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.fakes.replicas import START_US, Replica, member
from tests.fakes.telling import Two


@pytest.fixture
def two() -> Iterator[Two]:
    """Return two servers that have told each other everything."""
    generator = random.Random(7)
    peers = [member(name, place, generator) for place, name in enumerate(("alfa", "bravo"))]
    now = [START_US]

    def clock() -> int:
        now[0] += 1_000
        return now[0]

    servers = [Replica(peer.name, peers, generator, clock) for peer in peers]
    made = Two(*servers)
    made.settle()
    yield made
    for server in servers:
        server.disk.close()
