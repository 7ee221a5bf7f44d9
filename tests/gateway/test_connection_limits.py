"""Time, places and the end of connections on the drives' port, over real sockets and on both loops."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from qekm.dkp.codes import Code
from qekm.dkp.frame import Frame, MessageType
from qekm_gateway.admission import name_of
from qekm_gateway.deadlines import Limits
from tests.dkp.material import raw
from tests.fakes.link import SESSION, Silent, serve
from tests.gateway.port import Client, NewLoop, Port, open_port
from tests.gateway.test_connection import (
    NOTIFY,
    PING,
    REPLY,
    code_of,
    port,
    session,
)
from tests.waiting import wait_for

__all__ = ["port"]  # a fixture

SHORT = Limits(frame=0.2, step=0.3, session=0.6, idle=0.5, discard=0.1)


def elapsed(client: Client, begun: float | None = None) -> float:
    """Return how long the server lets a client be, since `begun`."""
    begun = begun or time.monotonic()
    assert client.closed()
    return time.monotonic() - begun


@pytest.fixture
def hasty(new_loop: NewLoop) -> Iterator[Port]:
    with open_port(new_loop=new_loop, limits=SHORT) as port:
        yield port
        assert port.gateway.incidents.count == 0


def test_an_idle_connection_ends_and_nothing_is_reported(hasty: Port) -> None:
    for says in (False, True):
        begun = time.monotonic()
        with hasty.connect() as client:
            if says:
                client.ask(PING)
            assert 0.45 < elapsed(client, begun) < 1.5
    assert hasty.link.ends == []


def test_a_frame_has_its_time_from_its_first_byte_however_it_trickles(hasty: Port) -> None:
    with hasty.connect() as client:
        begun = time.monotonic()
        try:
            for byte in NOTIFY:
                client.send(bytes((byte,)))
                time.sleep(0.02)
        except OSError:
            pass
        assert client.closed()
        assert 0.15 < time.monotonic() - begun < 1.5


def test_a_step_has_its_time_from_the_server_s_last_byte_and_its_end_is_ee0e(hasty: Port) -> None:
    with hasty.connect() as client:
        client.ask(NOTIFY)
        client.send(REPLY[:40])
        assert elapsed(client) < 1.5
    (end,) = hasty.link.ends
    assert (end[0], end[2].code) == (SESSION, Code.EE0E)


def test_a_session_has_its_time_however_fast_its_steps_are(new_loop: NewLoop) -> None:
    limits = Limits(frame=20, step=20, session=1, idle=20)
    with open_port(new_loop=new_loop, limits=limits) as port, port.connect() as client:
        client.ask(NOTIFY)
        time.sleep(0.15)
        client.ask(REPLY)
        assert elapsed(client) < 3
        assert port.link.ends[0][2].code is Code.EE0E
        with port.connect() as again:  # the next session's time is its own
            for _ in range(4):
                assert session(again) == [0x82, 0x84, 0x86]
                time.sleep(0.3)


def test_a_client_that_does_not_read_is_bounded_and_ends(new_loop: NewLoop) -> None:
    limits = Limits(step=0.5)
    with (
        open_port(new_loop=new_loop, limits=limits, send_buffer=4_096) as port,
        port.connect() as client,
    ):
        client.socket.settimeout(0.3)
        sent = 0
        try:
            while sent < 50_000_000:
                sent += client.socket.send(PING * 1_000)
        except OSError:
            pass
        assert sent < 20_000_000
        wait_for(lambda: port.run(lambda: len(port.gateway.admission)) == 0)


def test_after_ee23_a_client_that_goes_on_is_heard_for_a_while_only(hasty: Port) -> None:
    with hasty.connect() as client:
        assert code_of(client.ask(b"X")) is Code.EE23
        begun = time.monotonic()
        try:
            while time.monotonic() - begun < 3:
                client.send(bytes(1_000))
                time.sleep(0.01)
        except OSError:
            pass
        assert time.monotonic() - begun < 1.5


def test_one_address_has_so_many_connections_and_others_their_own(new_loop: NewLoop) -> None:
    with open_port(new_loop=new_loop, per_address=4) as port:
        clients = [port.connect() for _ in range(4)]
        assert all(client.ask(PING).type == MessageType.PONG for client in clients)
        with port.connect() as fifth:
            assert fifth.closed()
        with port.connect("127.0.0.2") as other:
            assert other.ask(PING).type == MessageType.PONG
        clients.pop().socket.close()
        wait_for(lambda: port.run(lambda: len(port.gateway.admission)) == 3)
        with port.connect() as again:
            assert again.ask(PING).type == MessageType.PONG
        for client in clients:
            client.socket.close()


def test_when_all_places_are_taken_the_oldest_stranger_goes_and_served_drives_stay(new_loop: NewLoop) -> None:
    with open_port(new_loop=new_loop, total=4) as port:
        drive = port.connect()
        assert session(drive) == [0x82, 0x84, 0x86]
        strangers = [port.connect() for _ in range(3)]
        assert all(stranger.ask(PING).type == MessageType.PONG for stranger in strangers)
        with port.connect() as new:
            assert session(new) == [0x82, 0x84, 0x86]
            assert strangers[0].closed()
            assert strangers[1].ask(PING).type == MessageType.PONG
            assert session(drive) == [0x82, 0x84, 0x86]
        for client in (drive, *strangers):
            client.socket.close()


def test_draining_lets_the_step_under_way_finish_and_ends_the_rest(port: Port) -> None:
    port.link.service = lambda frame: Silent() if frame.type == 2 else serve(frame)
    with port.connect() as idle, port.connect() as busy:
        idle.ask(PING)
        busy.ask(NOTIFY)
        busy.send(REPLY)
        wait_for(lambda: len(port.link.steps) == 2)

        def drain() -> None:
            port.gateway.draining = True
            for guest in port.gateway.admission.guests:
                guest.drain()

        port.run(drain)
        assert idle.closed()
        port.run(lambda: port.link.answer(2, serve(Frame(2, 8, SESSION, 3, ()))))
        assert busy.frame().type == MessageType.SET_KEY
        assert busy.closed()
        with port.connect() as late:
            assert late.closed()
    assert port.link.ends[-1][0] == SESSION


def test_a_client_is_counted_by_its_network() -> None:
    assert name_of(("2001:db8::7", 9)) == ("2001:db8::/64", "[2001:db8::7]:9")
    assert name_of(("::ffff:192.0.2.7", 9)) == ("192.0.2.7", "192.0.2.7:9")


def test_an_ipv6_client_is_named_in_brackets_with_its_port(new_loop: NewLoop) -> None:
    with open_port(new_loop=new_loop, host="::1") as port, port.connect() as client:
        assert client.ask(NOTIFY).type == 0x82
        client.ask(raw(0x55, []))
        assert port.link.steps[0].source == f"[::1]:{client.socket.getsockname()[1]}"
