"""A server that gave no answer is asked last for a while, and in its place again afterwards."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

import pytest

from qekm.clock import now_us
from qekm.dkp.codes import Code
from qekm_gateway.simulator.anchors import Anchors
from qekm_gateway.simulator.errand import Refused
from qekm_gateway.simulator.library import Library
from qekm_gateway.simulator.link import NoAnswer, Patience, Server
from qekm_gateway.simulator.order import Order
from tests.fakes.key_manager import KeyManager
from tests.gateway.simulator.rig import CREATE, fresh_drive
from tests.gateway.simulator.test_link import silent
from tests.ports import free_port

A, B, C = (Server("127.0.0.1", port) for port in (1, 2, 3))


class Clock:
    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


def test_servers_are_asked_as_told_but_who_was_away_last_for_a_while() -> None:
    clock = Clock()
    order = Order(30.0, clock)
    assert order.of([A, B, C]) == [A, B, C]
    order.away(A)
    assert order.of([A, B, C]) == [B, C, A]
    clock.seconds += 29
    order.away(B)
    assert order.of([A, B, C]) == [C, A, B]
    clock.seconds += 1
    assert order.of([A, B, C]) == [A, C, B]
    clock.seconds += 29
    assert order.of([A, B, C]) == [A, B, C]


def library(drive_of: KeyManager, *ports: int, patience: Patience) -> Library:
    servers = [Server("127.0.0.1", port) for port in ports]
    return Library("LIB1", [fresh_drive()], servers, Anchors([drive_of.pin]), os.urandom, now_us, patience)


def asked(library: Library) -> tuple[str, float]:
    """Have a key created; return the port that served and the seconds it took."""
    (serial,) = library.drives
    begun = time.monotonic()
    outcome = library.request(serial, CREATE)
    return outcome.server.rpartition(":")[2], time.monotonic() - begun


def test_a_silent_server_costs_its_time_once_and_is_gone_back_to() -> None:
    manager = KeyManager()
    with manager.listening() as port, silent() as mute:
        site = library(manager, mute, port, patience=Patience(away=4.0))
        served, took = asked(site)
        assert served == str(port) and took > 1.9
        assert [asked(site)[0] for _ in range(3)] == [str(port)] * 3
        assert len(site.tickets) == 1
        time.sleep(4)
        served, took = asked(site)
        assert served == str(port) and took > 1.9, "it was asked again"


def test_a_second_server_that_fails_once_is_retried_before_the_silent_first() -> None:
    manager = KeyManager(refuse=Code.EE0F)
    with manager.listening() as port, silent() as mute:
        site = library(manager, mute, port, patience=Patience(answer=1.9, pauses=(0.1,)))
        with pytest.raises(NoAnswer):
            asked(site)
        assert [server.port for server, _ in site.tickets] == [mute, port, port, mute]


def test_a_server_that_says_no_is_still_asked_first() -> None:
    first, second = KeyManager(refuse=Code.EE0F), KeyManager()
    with ExitStack() as stack:
        ports = [stack.enter_context(each.listening()) for each in (first, second)]
        site = library(second, *ports, patience=Patience())
        site.anchors = Anchors([first.pin, second.pin])
        assert [asked(site)[0] for _ in range(3)] == [str(ports[1])] * 3
        assert len(first.notifies) == 3


def test_when_all_are_away_all_are_asked() -> None:
    manager = KeyManager()
    site = library(manager, free_port(), free_port(), patience=Patience(pauses=()))
    for _ in range(2):
        with pytest.raises(NoAnswer):
            asked(site)
    assert len(site.tickets) == 4


def test_a_final_refusal_is_not_asked_for_elsewhere() -> None:
    first, second = KeyManager(refuse=Code.EF01), KeyManager()
    with first.listening() as one, second.listening() as two, pytest.raises(Refused, match="EF01"):
        asked(library(second, one, two, patience=Patience()))
    assert not second.notifies
