"""Sockets on which drives are awaited."""

from __future__ import annotations

import socket

import pytest

from qekm.errors import BadConfiguration, PortInUse
from qekm_gateway.listeners import open_listeners


def close(sockets: list[socket.socket]) -> None:
    for opened in sockets:
        opened.close()


def test_all_addresses_get_the_same_free_port() -> None:
    sockets = open_listeners(["127.0.0.1", "::1", "127.0.0.2"], 0)
    assert len({opened.getsockname()[1] for opened in sockets}) == 1
    assert [opened.getsockname()[0] for opened in sockets] == ["127.0.0.1", "::1", "127.0.0.2"]
    close(sockets)


def test_both_wildcards_stand_beside_each_other() -> None:
    sockets = open_listeners(["::", "0.0.0.0"], 0)
    assert len(sockets) == 2
    close(sockets)


def test_an_address_named_twice_is_bound_once() -> None:
    sockets = open_listeners(["127.0.0.1", "127.0.0.1"], 0)
    assert len(sockets) == 1
    close(sockets)


def test_a_taken_port_is_named_and_nothing_stays_open() -> None:
    taken = socket.create_server(("127.0.0.2", 0))
    port = taken.getsockname()[1]
    with pytest.raises(PortInUse) as caught:
        open_listeners(["127.0.0.1", "127.0.0.2"], port)
    assert str(port) in caught.value.message
    close(open_listeners(["127.0.0.1"], port))
    taken.close()


@pytest.mark.parametrize("host", ["203.0.113.77", "no-such-host.invalid", "2001:db8::77"])
def test_an_address_that_is_not_ours_is_named(host: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        open_listeners([host], 0)
    assert host in caught.value.message
