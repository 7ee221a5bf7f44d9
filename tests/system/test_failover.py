"""A gateway with two services, or one, when a service is frozen, killed or refuses: as a drive sees it.

The library knows this gateway alone; libraries that know several servers, and cut wires, are in tests/peers.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from qekm.clock import now_us
from qekm.dkp.codes import Ask
from qekm.v1 import drives_pb2
from qekm.v1.server_pb2 import GetStatusRequest
from qekm_gateway.simulator.anchors import load_anchors
from qekm_gateway.simulator.authority import make_authority, make_drive
from qekm_gateway.simulator.errand import Errand, Refused
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import NoAnswer, Patience, Server
from tests.system.joining import Inviting
from tests.system.processes import START_TIMEOUT_S, Estate, Process, made

AIM_S, FAILS_S = 5.0, 15.0  # from the fault to the next installed key
SERIAL = "001300000392"


@dataclass
class Pair:
    """A gateway beside its own service, another service of the estate, a library that knows the gateway."""

    first: Estate
    second: Estate
    library: Library
    dki: bytes = b""  # of the last key

    def key(self, dki: bytes = b"") -> float:
        """Have the drive install a key, a new one or this; return the seconds it took. NoAnswer, Refused."""
        began = time.monotonic()
        ask = Ask.TRANSLATE if dki else Ask.CREATE
        outcome = self.library.request(SERIAL, Errand(ask, "E01001L4", os.urandom(16), dki=dki))
        assert outcome.key is not None and outcome.confirmed, outcome.note
        self.dki = outcome.key.dki
        return time.monotonic() - began

    def used(self, estate: Estate) -> bool:
        """Tell whether a service has a gateway."""
        with estate.client() as client:
            return bool(client.server.GetStatus(GetStatusRequest()).gateways)

    @property
    def told(self) -> list[str]:
        """Return what the gateway logged of services."""
        assert self.first.gateway is not None
        return [line for line in self.first.gateway.said().splitlines() if "the service (" in line]

    @property
    def settled(self) -> bool:
        """Tell whether the gateway last logged that it uses its own service."""
        return bool(self.told) and "connected to the service (local)" in self.told[-1]


def library(estate: Estate, patience: Patience) -> Library:
    """Return a library with one drive that the estate accepts."""
    authority = make_authority(now_us())
    with estate.client() as client:
        der = authority.certificate.public_bytes(Encoding.DER)
        client.drives.CreateAuthority(drives_pb2.CreateAuthorityRequest(certificate=der))
    servers, anchors = [Server("127.0.0.1", 1)], load_anchors([], [estate.home.trust])
    drive = make_drive(authority, SERIAL, now_us())
    return Library("LIB1", [drive], servers, anchors, os.urandom, now_us, patience)


@contextmanager
def paired(path: Path, gateways: str = "on") -> Iterator[Pair]:
    """Run two servers of an estate, and a gateway that prefers the service of the first."""
    inviting = Inviting.make(path)
    first, second = inviting.estate, Estate(path / "b")
    try:
        site = library(first, Patience())
        invitation, fingerprint = inviting.invite()
        with inviting.joining(invitation, fingerprint) as joining:
            done = inviting.accept("b", joining.wait_waiting())
            assert done.returncode == 0, done.stderr
            assert joining.wait() == 0, joining.said()
        second.start(gateway=False, QEKM_PROPERTY_TransportListener_ssl_gateways=gateways)
        until(lambda: able(second), "the second server gets no drive authority, or makes no keys")
        address = f"local,127.0.0.1:{second.ports['ssl']}"
        first.start(QEKM_PROPERTY_gateway_services=address)
        site.servers = (Server("127.0.0.1", first.ports["tcp"]),)
        yield Pair(first, second, site)
    finally:
        second.close()
        first.close()


def able(estate: Estate) -> bool:
    """Tell whether a service could serve a drive."""
    with estate.client() as client:
        known = client.drives.ListAuthorities(drives_pb2.ListAuthoritiesRequest()).authorities
        return bool(known) and client.server.GetStatus(GetStatusRequest()).ready_key_count > 0


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def send(process: Process | None, number: int) -> None:
    """Send a signal to a process of ours."""
    assert process is not None
    os.kill(process.pid, number)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with paired(tmp_path_factory.mktemp("pair")) as pair:
        yield pair


def freeze(pair: Pair) -> Callable[[], object]:
    send(pair.first.server, signal.SIGSTOP)
    return lambda: send(pair.first.server, signal.SIGCONT)


def kill(pair: Pair) -> Callable[[], object]:
    pair.first.kill()
    return pair.first.start


FAULTS = {"frozen": freeze, "killed": kill}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_gateway_whose_service_is_gone_has_keys_from_the_other_and_goes_back(
    pair: Pair, fault: str
) -> None:
    until(lambda: pair.settled, "the gateway's own service is not used")
    pair.key()
    dki, began = pair.dki, time.monotonic()
    heal = FAULTS[fault](pair)
    try:
        pair.key()
        took = time.monotonic() - began
        print(f"service {fault}: the next key after {took:.2f} s (aim {AIM_S:g} s)")
        assert took < FAILS_S
        assert pair.used(pair.second)
        assert max(pair.key(dki) for _ in range(5)) < FAILS_S, "a tape of before is read"
    finally:
        heal()
    until(lambda: pair.used(pair.first), "the gateway does not go back")
    until(lambda: pair.settled, "the gateway's own service is not used")
    pair.key(dki)


def test_a_gateways_properties_are_those_of_its_own_service(pair: Pair) -> None:
    """The other service has another port for drives; a gateway that uses it stays where it is."""
    port = pair.first.ports["tcp"]
    heal = freeze(pair)
    try:
        pair.key()
        assert pair.used(pair.second) and pair.first.ports["tcp"] == port
    finally:
        heal()
    until(lambda: pair.used(pair.first), "the gateway does not go back")
    pair.key()


def test_a_lone_frozen_service_costs_a_library_two_seconds_once_and_then_nothing(tmp_path: Path) -> None:
    with made(tmp_path / "home", drive__acceptUnknownDrives="true") as estate:
        estate.start()
        estate.wait_gateway()
        site = library(estate, Patience(answer=20.0, pauses=()))  # the gateway's, however late, and no other
        site.servers = (Server("127.0.0.1", estate.ports["tcp"]),)
        alone = Pair(estate, estate, site)
        alone.key()
        time.sleep(1.5)  # the service has given a sign of life by now
        freeze(alone)
        waits = []
        for _ in range(6):
            began = time.monotonic()
            with pytest.raises(Refused, match="EE0F"):
                alone.key()
            waits.append(time.monotonic() - began)
        print(
            "a frozen service is answered for after",
            *(f"{wait:.2f}" for wait in waits),
            "s (aim 1.5, then 0)",
        )
        assert waits[0] < 6 and min(waits[3:]) < 1
        send(estate.server, signal.SIGCONT)

        def serves() -> bool:
            try:
                return alone.key() > 0
            except (AssertionError, NoAnswer, Refused):  # also a key that was not confirmed in time
                return False

        until(serves, "the service went on, and nobody noticed")


def test_a_service_that_takes_no_gateways_of_others_refuses_and_the_gateway_says_why(tmp_path: Path) -> None:
    with paired(tmp_path, gateways="off") as pair:
        until(lambda: pair.used(pair.first), "the gateway is not there")
        pair.first.kill()
        with pytest.raises((NoAnswer, Refused)):
            pair.key()
        until(lambda: any("PERMISSION_DENIED" in line for line in pair.told), "it is not told")
        pair.first.start()
        until(lambda: pair.used(pair.first), "the gateway does not go back")
        pair.key()
