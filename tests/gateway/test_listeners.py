"""Sockets on which drives are awaited."""

from __future__ import annotations

import socket
from collections.abc import Iterable

import pytest

from qekm.errors import BadConfiguration, PortInUse
from qekm_gateway.listeners import open_listeners
from tests.ordinary import privileged_port, python_as_ordinary
from tests.ports import free_port


def opened_at(hosts: list[str], port: int) -> list[socket.socket]:
    return list(open_listeners(hosts, port).values())


def close(sockets: Iterable[socket.socket]) -> None:
    for opened in sockets:
        opened.close()


def test_all_addresses_get_the_same_free_port() -> None:
    sockets = opened_at(["127.0.0.1", "::1", "127.0.0.2"], 0)
    assert len({opened.getsockname()[1] for opened in sockets}) == 1
    assert [opened.getsockname()[0] for opened in sockets] == ["127.0.0.1", "::1", "127.0.0.2"]
    close(sockets)


def test_both_wildcards_stand_beside_each_other() -> None:
    sockets = opened_at(["::", "0.0.0.0"], 0)
    assert len(sockets) == 2
    close(sockets)


def test_an_address_named_twice_is_bound_once() -> None:
    sockets = opened_at(["127.0.0.1", "127.0.0.1"], 0)
    assert len(sockets) == 1
    close(sockets)


def test_a_taken_port_is_named_and_nothing_stays_open() -> None:
    taken = socket.create_server(("127.0.0.2", port := free_port()))
    with pytest.raises(PortInUse) as caught:
        opened_at(["127.0.0.1", "127.0.0.2"], port)
    assert str(port) in caught.value.message
    close(opened_at(["127.0.0.1"], port))
    taken.close()


@pytest.mark.parametrize("host", ["203.0.113.77", "no-such-host.invalid", "2001:db8::77"])
def test_an_address_that_is_not_ours_is_named(host: str) -> None:
    with pytest.raises(BadConfiguration) as caught:
        opened_at([host], 0)
    assert host in caught.value.message


def test_what_is_held_already_is_kept_and_only_what_is_missing_is_bound() -> None:
    held = open_listeners(["127.0.0.1", "::1"], 0)
    port = next(iter(held)).port
    more = open_listeners(["::1", "127.0.0.2", "127.0.0.1"], port, held)
    assert [place.host for place in more] == ["::1", "127.0.0.2", "127.0.0.1"]
    assert all(more[place] is opened for place, opened in held.items())
    with pytest.raises(PortInUse, match="by the gateway itself"):
        open_listeners(["127.0.0.3", "::"], port, held)
    close(opened_at(["127.0.0.3"], port))
    assert all(opened.fileno() > 0 for opened in held.values())
    close(more.values())


def test_a_port_that_an_ordinary_user_may_not_have_is_named() -> None:
    said = python_as_ordinary(
        "from qekm_gateway.listeners import open_listeners\n"
        "from qekm.errors import BadConfiguration\n"
        f"try: open_listeners(['127.0.0.1'], {privileged_port()})\n"
        "except BadConfiguration as error: print(error.message)"
    )
    assert said == "cannot listen at 127.0.0.1 on port 81: Permission denied\n"
