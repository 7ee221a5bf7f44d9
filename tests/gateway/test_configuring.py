"""Properties that the service sends are put in force all or none, and never against this gateway's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from qekm.configuration.settings import Settings
from qekm.errors import StoreFailed
from qekm.properties.listeners import TCP_DRAIN, TCP_HOST, TCP_PORT
from qekm.v1.serving_pb2 import ConfigureCommand, ConfigureReport
from qekm_gateway.configuring import FROM_OPTION, Configuring
from qekm_gateway.deadlines import Limits
from tests.gateway.movable import Movable, connect, movable, refused
from tests.gateway.test_connection import PING, session
from tests.ports import free_port

FULL = StoreFailed("cannot write run/gateway.json: no space left on device")


class Site:
    """A gateway that is told properties."""

    def __init__(self, gateway: Movable, settings: Settings) -> None:
        self.gateway = gateway
        self.told: list[int] = []  # ports announced
        self.full = False
        self.configuring = Configuring(settings, gateway.ports, gateway.gateway, self._announce)

    def _announce(self) -> None:
        if self.full:
            raise FULL
        self.told.append(self.gateway.ports.port)

    def send(self, *commands: dict[str, str]) -> list[ConfigureReport]:
        """Send commands one right after the other and return the reports to all."""
        reports: list[ConfigureReport] = []
        done = threading.Event()

        def take(report: ConfigureReport) -> None:
            reports.append(report)
            if len(reports) == len(commands):
                done.set()

        async def start() -> None:
            for number, properties in enumerate(commands):
                self.configuring.start(ConfigureCommand(command_id=number, properties=properties), take)

        self.gateway.run(start())
        assert done.wait(10)
        return reports

    def put(self, **properties: str) -> ConfigureReport:
        """Send one command; dots in names as two underscores."""
        (report,) = self.send({name.replace("__", "."): text for name, text in properties.items()})
        return report

    def move(self, port: int, minutes: str = "10") -> ConfigureReport:
        """Send a command that moves the port."""
        (report,) = self.send({TCP_PORT: str(port), TCP_DRAIN: minutes})
        return report


@pytest.fixture
def site() -> Iterator[Site]:
    with movable() as gateway:
        yield Site(gateway, Settings({TCP_PORT: "0", TCP_HOST: "127.0.0.1"}, {}))


def test_a_port_is_moved_to_and_announced_and_the_report_has_the_new_address_first(site: Site) -> None:
    old, new = site.gateway.ports.port, free_port()
    report = site.move(new)
    assert (report.error, report.reason) == ("", "")
    assert list(report.addresses) == [f"127.0.0.1:{new}", f"127.0.0.1:{old}"]
    assert site.told == [new]
    for port in (old, new):
        with connect(port) as client:
            assert session(client) == [0x82, 0x84, 0x86]


def test_the_same_again_changes_nothing_and_0_is_the_free_port_that_there_is(site: Site) -> None:
    old, new = site.gateway.ports.port, free_port()
    assert list(site.move(0).addresses) == [f"127.0.0.1:{old}"]
    first = site.move(new)
    assert list(site.move(new).addresses) == list(first.addresses)
    assert site.told == [new]
    other = site.move(0)
    assert other.addresses[0] not in first.addresses


def test_rules_hold_from_the_next_connection_on(site: Site) -> None:
    shared = site.gateway.gateway
    with connect(site.gateway.ports.port) as before:
        assert before.ask(PING).type == 0x87
        assert not site.put(
            dkp__tls="required",
            dkp__connectionsPerAddress="2",
            dkp__frameTimeout="1",
            dkp__stepTimeout="2",
            dkp__sessionTimeout="3",
            dkp__idleTimeout="4",
            debug="all",
        ).error
        assert shared.limits == Limits(1, 2, 3, 4)
        assert (shared.tls_required, shared.admission.per_address, shared.debug.on) == (True, 2, True)
        assert session(before) == [0x82, 0x84, 0x86]
        with connect(site.gateway.ports.port) as after, connect(site.gateway.ports.port) as third:
            assert after.ask(PING).type == 0xFF
            assert third.closed()
    site.put(debug="none")
    assert not shared.debug.on
    assert shared.tls_required


@pytest.mark.parametrize(("debug", "on"), [("transport,audit", True), ("audit", False), ("none", False)])
def test_connections_are_told_of_when_their_class_is_written(site: Site, debug: str, on: bool) -> None:
    site.put(debug=debug)
    assert site.gateway.gateway.debug.on is on


def test_all_or_none(site: Site) -> None:
    shared, old = site.gateway.gateway, site.gateway.ports.port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        report = site.put(TransportListener__tcp__port=str(number), dkp__tls="required", debug="all")
        assert report.reason == "PORT_IN_USE"
        assert str(number) in report.error
    report = site.put(TransportListener__tcp__port=str(free_port()), dkp__idleTimeout="never")
    assert (report.reason, "dkp.idleTimeout" in report.error) == ("BAD_CONFIGURATION", True)
    report = site.put(TransportListener__tcp__host="203.0.113.77", debug="all")
    assert report.reason == "BAD_CONFIGURATION"
    assert list(report.addresses) == [f"127.0.0.1:{old}"]
    assert (shared.tls_required, shared.debug.on, shared.limits) == (False, False, Limits())
    assert site.told == []


def test_a_port_that_cannot_be_announced_is_given_back(site: Site) -> None:
    old, new = site.gateway.ports.port, free_port()
    site.full = True
    report = site.move(new)
    assert (report.error, report.reason) == (FULL.message, "STORE_FAILED")
    assert list(report.addresses) == [f"127.0.0.1:{old}"]
    assert refused(new)
    assert not refused(old)
    site.full = False
    assert site.move(new).addresses[0] == f"127.0.0.1:{new}"


def test_what_is_taken_back_without_a_drain_leaves_the_drains_of_others_alone(site: Site) -> None:
    first, second, third = site.gateway.ports.port, free_port(), free_port()
    site.move(second)
    site.move(third)
    told = site.send({TCP_PORT: str(second), TCP_DRAIN: "0"}, {TCP_PORT: str(second), TCP_DRAIN: "10"})
    assert list(told[1].addresses) == [f"127.0.0.1:{second}", f"127.0.0.1:{first}"]
    assert refused(third)


def test_what_the_environment_or_the_command_line_says_is_kept_and_what_is_not_known_is_passed_over() -> None:
    environment = {"dkp.tls": "optional"}
    with movable() as gateway:
        settings = Settings({TCP_HOST: "127.0.0.1"}, {}, environment)
        settings.put(TCP_PORT, "0", FROM_OPTION)
        site = Site(gateway, settings)
        report = site.put(
            TransportListener__tcp__port=str(free_port()),
            dkp__tls="required",
            dkp__sessionTimeout="7",
            of__a__later__release="x",
        )
        assert (report.error, list(report.addresses)) == ("", [f"127.0.0.1:{gateway.ports.port}"])
        assert (gateway.gateway.tls_required, gateway.gateway.limits.session) == (False, 7)


def test_commands_are_carried_out_in_their_order(site: Site) -> None:
    ports = [free_port() for _ in range(4)]
    told = site.send(*({TCP_PORT: str(port), TCP_DRAIN: "0"} for port in ports))
    assert [report.command_id for report in told] == [0, 1, 2, 3]
    assert [report.addresses[0] for report in told] == [f"127.0.0.1:{port}" for port in ports]
    assert all(refused(port) for port in ports[:-1])


def test_what_nobody_foresaw_is_told_by_a_number_only() -> None:
    with movable() as gateway:
        site = Site(gateway, Settings({TCP_PORT: "0", TCP_HOST: "127.0.0.1"}, {}))
        site.configuring = Configuring(
            Settings({TCP_PORT: "0", TCP_HOST: "127.0.0.1"}, {}),
            gateway.ports,
            gateway.gateway,
            lambda: int("secret"),  # type: ignore[arg-type]
        )
        report = site.move(free_port())
        assert report.reason == "INTERNAL"
        assert "secret" not in report.error
        assert gateway.gateway.incidents.count == 1
        gateway.gateway.incidents.count = 0


def test_a_gateway_that_stops_puts_nothing_more_in_force(site: Site) -> None:
    reports: list[ConfigureReport] = []

    async def stop() -> None:
        for port in (free_port(), free_port()):
            command = ConfigureCommand(properties={TCP_PORT: str(port)})
            site.configuring.start(command, reports.append)
        await site.configuring.close()

    old = site.gateway.ports.port
    site.gateway.run(stop())
    assert reports == []
    assert site.gateway.ports.port == old
