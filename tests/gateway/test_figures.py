"""What a gateway counts, as Prometheus is told of it: over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qekm.families import Counter, Family, Gauge
from qekm_gateway.figures import certificates, connections, frames
from tests.gateway.pki import write_pki
from tests.gateway.port import Port, open_port
from tests.gateway.test_connection import NOTIFY, PING, REPLY, session
from tests.waiting import wait_for


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    write_pki(tmp_path, "gateway")
    with open_port(pki=tmp_path, per_address=2) as port:
        yield port
        assert port.gateway.incidents.count == 0


def told(families: Iterator[Family]) -> dict[str, dict[tuple[str, ...], float]]:
    """Return values that are not 0, by name and labels."""
    found = {each.name: each.rows for each in families if isinstance(each, Gauge | Counter)}
    return {name: {texts: value for texts, value in rows if value} for name, rows in found.items()}


def seen(port: Port) -> dict[str, dict[tuple[str, ...], float]]:
    """Return what the gateway tells now."""
    gateway = port.gateway
    counted = frames(gateway.activity, lambda: gateway.incidents.count)
    return port.run(lambda: told(connections(gateway.admission, gateway.activity)) | told(counted))


def test_a_whole_session_and_a_ping_are_counted_by_type(port: Port) -> None:
    with port.connect() as client:
        client.ask(PING)
        session(client)
        assert seen(port)["qekm_gateway_connections"] == {(): 1}
    found = seen(port)
    asked = {"ping": 1, "driver_error_notify": 1, "query_dsk_reply": 1, "key_status": 1}
    answered = {"pong": 1, "query_dsk": 1, "set_key": 1, "complete": 1}
    assert found["qekm_gateway_frames_in"] == {(name,): count for name, count in asked.items()}
    assert found["qekm_gateway_frames_out"] == {(name,): count for name, count in answered.items()}
    assert found["qekm_gateway_connections_accepted"] == {(): 1}
    wait_for(lambda: not seen(port)["qekm_gateway_connections"], "it is gone")


def test_refusals_of_its_own_are_counted_by_code_and_what_it_closes_by_reason(port: Port) -> None:
    with port.connect() as client:
        client.ask(REPLY)  # out of turn: refused, and it may go on
        client.ask(NOTIFY)
    with port.connect() as client:
        client.ask(b"GET / HTTP/1.1\r\n\r\n")
        assert client.closed()
    found = seen(port)
    assert found["qekm_gateway_refusals"] == {("EE2D",): 1, ("EE23",): 1}
    assert found["qekm_gateway_frames_out"]["error",] == 2
    assert found["qekm_gateway_connections_refused"] == {("protocol",): 1}


def test_what_begins_as_tls_and_is_none_is_counted(port: Port) -> None:
    with port.connect() as client:
        client.send(b"\x16\x03\x01\x00\x05" + bytes(64))
        while client.socket.recv(4_096):
            pass
    assert seen(port)["qekm_gateway_tls_failures"] == {(): 1}


def test_one_too_many_of_an_address_is_turned_away_and_counted(port: Port) -> None:
    with port.connect() as one, port.connect() as two:
        one.ask(PING)
        two.ask(PING)
        with port.connect() as three:
            assert three.closed()
        assert seen(port)["qekm_gateway_connections_refused"] == {("address",): 1}


def test_the_end_of_its_certificate_is_read_from_the_file(tmp_path: Path) -> None:
    write_pki(tmp_path, "gateway")
    (family,) = certificates(tmp_path / "gateway.pem")
    assert isinstance(family, Gauge)
    assert family.rows[0][1] > 1_700_000_000
