"""The drives' port moves while they are served: the new one first, the one before drains, nothing is lost."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from qekm.dkp.frame import parse
from qekm.errors import BadConfiguration, PortInUse
from qekm_gateway.deadlines import Limits
from qekm_gateway.listeners import Place
from qekm_gateway.ports import Ports
from tests.fakes.link import FakeLink, Silent, serve
from tests.gateway.movable import Movable, connect, movable, refused
from tests.gateway.port import NewLoop
from tests.gateway.test_connection import NOTIFY, PING, REPLY, STATUS, session
from tests.waiting import wait_for

SESSION = [0x82, 0x84, 0x86]


@pytest.fixture
def site(new_loop: NewLoop) -> Iterator[Movable]:
    with movable(new_loop=new_loop) as site:
        yield site


def test_the_port_before_is_answered_while_it_drains_and_not_after(site: Movable) -> None:
    old, begun = site.ports.port, time.monotonic()
    new = site.move(drain=1.5)
    assert new != old
    assert site.ports.addresses == [f"127.0.0.1:{new}", f"127.0.0.1:{old}"]
    while time.monotonic() < begun + 0.3:
        for port in (old, new):
            with connect(port) as client:
                assert session(client) == SESSION
    wait_for(lambda: refused(old))
    assert time.monotonic() - begun > 1.5
    assert site.ports.addresses == [f"127.0.0.1:{new}"]
    with connect(new) as client:
        assert session(client) == SESSION


def test_without_a_drain_the_port_before_is_closed_at_once(site: Movable) -> None:
    old = site.ports.port
    new = site.move(drain=0)
    assert refused(old)
    with connect(new) as client:
        assert session(client) == SESSION


def hold_through_a_move(site: Movable) -> list[int]:
    """Begin a session, take its port away, and go on with it."""
    old = site.ports.port
    with connect(old) as client:
        kinds = [client.ask(NOTIFY).type]
        site.move(drain=0)
        assert refused(old)
        time.sleep(0.1)
        kinds += [client.ask(frame).type for frame in (REPLY, STATUS)]
        assert client.closed()
    return kinds


def test_a_session_that_the_end_of_its_port_finds_is_held_to_its_own_end(site: Movable) -> None:
    assert hold_through_a_move(site) == SESSION
    assert site.link.ends == []


class Hasty(Ports):
    """Closes the connections with their listener, whatever they carry."""

    def _leave(self, place: Place) -> None:
        super()._leave(place)
        for guest in self._gateway.admission.guests:
            guest.drain()


def test_control_a_build_that_closes_connections_with_their_port_is_found_out() -> None:
    with movable(kind=Hasty) as site, pytest.raises((EOFError, OSError)):
        hold_through_a_move(site)


def test_a_step_with_the_service_is_answered_and_its_session_goes_on(new_loop: NewLoop) -> None:
    link = FakeLink(lambda frame: Silent() if frame.type == 0x02 else serve(frame))
    with movable(link=link, new_loop=new_loop) as site, connect(site.ports.port) as client:
        client.ask(NOTIFY)
        client.send(REPLY)
        wait_for(lambda: len(link.steps) == 2)
        site.move(drain=0)
        time.sleep(0.1)
        site.loop.call_soon_threadsafe(link.answer, 2, serve(parse(REPLY)))
        assert client.frame().type == 0x84
        assert client.ask(STATUS).type == 0x86
        assert client.closed()


def test_who_has_just_come_may_still_speak_and_who_says_nothing_is_closed(new_loop: NewLoop) -> None:
    with movable(new_loop=new_loop, limits=Limits(discard=1.0)) as site:
        old = site.ports.port
        quick, silent, idle = (connect(old) for _ in range(3))
        with quick, silent, idle:
            assert session(idle) == SESSION
            site.move(drain=0)
            assert refused(old)
            assert session(quick) == SESSION
            assert quick.closed()
            begun = time.monotonic()
            assert silent.closed()
            assert idle.closed()
            assert time.monotonic() - begun < 3 * 1.0


def test_a_port_taken_back_while_it_drains_is_the_same_listener_and_stays(site: Movable) -> None:
    first = site.ports.port
    with connect(first) as client:
        assert client.ask(PING).type == 0x87
        second = site.move(drain=1.0)
        assert site.move(first, drain=0.2) == first
        assert site.ports.addresses == [f"127.0.0.1:{first}", f"127.0.0.1:{second}"]
        wait_for(lambda: refused(second))
        time.sleep(1.2)
        assert client.ask(PING).type == 0x87
        assert session(client) == SESSION
    assert not refused(first)


def test_several_ports_drain_at_once_each_in_its_time(site: Movable) -> None:
    first = site.ports.port
    second = site.move(drain=2.0)
    third = site.move(drain=0.2)
    assert site.ports.addresses == [f"127.0.0.1:{port}" for port in (third, first, second)]
    wait_for(lambda: refused(second))
    assert not refused(first)
    wait_for(lambda: refused(first))
    assert not refused(third)


def test_what_cannot_be_bound_changes_nothing(site: Movable) -> None:
    old = site.ports.port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for hosts, port, error in (
            (("127.0.0.1",), taken.getsockname()[1], PortInUse),
            (("127.0.0.2", "127.0.0.1"), taken.getsockname()[1], PortInUse),
            (("127.0.0.2", "203.0.113.77"), 0, BadConfiguration),
            (("::",), old, PortInUse),
        ):
            with pytest.raises(error):
                site.move(port, hosts=hosts)
            assert site.ports.addresses == [f"127.0.0.1:{old}"]
        assert refused(taken.getsockname()[1], "127.0.0.2")
    with connect(old) as client:
        assert session(client) == SESSION


def test_an_address_is_added_and_taken_away_and_the_others_never_close(site: Movable) -> None:
    port = site.ports.port
    with connect(port) as client:
        client.ask(NOTIFY)
        site.move(port, hosts=("127.0.0.2", "127.0.0.1"))
        assert site.ports.addresses == [f"127.0.0.2:{port}", f"127.0.0.1:{port}"]
        assert not refused(port, "127.0.0.2")
        site.move(port, drain=0, hosts=("127.0.0.1",))
        assert refused(port, "127.0.0.2")
        assert [client.ask(frame).type for frame in (REPLY, STATUS)] == SESSION[1:]
        assert client.ask(PING).type == 0x87


def test_where_the_present_listeners_are_reached(site: Movable) -> None:
    port = site.move(hosts=("::",))
    assert [str(each) for each in site.ports.reachable(tls=False)] == [f"127.0.0.1:{port}"]
    port = site.move(hosts=("::", "0.0.0.0"))
    assert sorted(str(each) for each in site.ports.reachable(tls=True)) == [
        f"127.0.0.1:{port}",
        f"[::1]:{port}",
    ]
    assert site.ports.reachable(tls=True)[0].tls
