"""TLS on the drives' port: the first byte decides, 1.3 only, the certificate follows its file."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
import uvloop

from qekm.dkp.codes import Code
from qekm_gateway.deadlines import Limits
from qekm_gateway.tls import Certificate
from tests.dkp.material import raw
from tests.gateway.pki import write_pki
from tests.gateway.port import Client, Port, open_port
from tests.gateway.test_connection import NOTIFY, PING, REPLY, STATUS, code_of, session
from tests.waiting import wait_for

SHORT = Limits(frame=1.0, idle=10, discard=0.1)


@pytest.fixture
def pki(tmp_path: Path) -> Path:
    write_pki(tmp_path)
    return tmp_path


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def port(request: pytest.FixtureRequest, pki: Path) -> Iterator[Port]:
    with open_port(new_loop=request.param, pki=pki, limits=SHORT) as port:
        yield port
        assert port.gateway.incidents.count == 0


def serial_of(client: Client) -> str:
    certificate = cast(ssl.SSLSocket, client.socket).getpeercert() or {}
    return f"{int(str(certificate['serialNumber']), 16):X}"  # it comes padded to whole bytes


def test_whole_sessions_go_through_tls_beside_plain_ones(port: Port, pki: Path) -> None:
    with port.connect() as plain, port.connect().over_tls(pki / "trust.pem") as client:
        assert cast(ssl.SSLSocket, client.socket).version() == "TLSv1.3"
        for _ in range(3):
            assert session(client) == [0x82, 0x84, 0x86]
            assert session(plain) == [0x82, 0x84, 0x86]


def test_frames_sent_ahead_inside_tls_wait_their_turn(port: Port, pki: Path) -> None:
    with port.connect().over_tls(pki / "trust.pem") as client:
        client.send(NOTIFY + REPLY + STATUS + PING * 1_000)
        assert [client.frame().type for _ in range(3)] == [0x82, 0x84, 0x86]
        assert all(client.frame().type == 0x87 for _ in range(1_000))


def test_ee23_inside_tls_is_told_and_ends_the_session_and_the_connection(port: Port, pki: Path) -> None:
    with port.connect().over_tls(pki / "trust.pem") as client:
        assert code_of(client.ask(b"X")) is Code.EE23
        assert client.closed()


def test_tls_1_2_is_refused(port: Port, pki: Path) -> None:
    with pytest.raises(ssl.SSLError):
        port.connect().over_tls(pki / "trust.pem", maximum_version=ssl.TLSVersion.TLSv1_2)
    wait_for(lambda: port.link.refusals)


@pytest.mark.parametrize("data", [b"\x16", b"\x16\x03\x01\x00\x05hello", b"\x16" * 20_000])
def test_what_only_begins_like_tls_ends_within_the_frame_s_time(port: Port, data: bytes) -> None:
    with port.connect() as client:
        begun = time.monotonic()
        client.send(data)
        while not client.closed():
            pass
        assert time.monotonic() - begun < 3 * 1.0


def test_a_client_that_ends_tls_is_closed(port: Port, pki: Path) -> None:
    with port.connect().over_tls(pki / "trust.pem") as client:
        client.ask(NOTIFY)
        cast(ssl.SSLSocket, client.socket).settimeout(20)
        cast(ssl.SSLSocket, client.socket).unwrap().close()
    wait_for(lambda: port.link.ends)


def test_a_session_inside_tls_may_be_idle_between_frames(port: Port, pki: Path) -> None:
    with port.connect().over_tls(pki / "trust.pem") as client:
        time.sleep(1.3)  # longer than a frame's time
        assert session(client) == [0x82, 0x84, 0x86]


def test_plain_is_refused_with_ee23_where_tls_is_required(pki: Path) -> None:
    with open_port(pki=pki, tls_required=True) as port:
        with port.connect() as client:
            assert code_of(client.ask(PING)) is Code.EE23
            assert client.closed()
        with port.connect().over_tls(pki / "trust.pem") as client:
            assert session(client) == [0x82, 0x84, 0x86]


def test_a_new_certificate_serves_new_connections_and_old_ones_go_on(port: Port, pki: Path) -> None:
    with port.connect().over_tls(pki / "trust.pem") as old:
        before = serial_of(old)
        after = write_pki(pki)
        with port.connect().over_tls(pki / "trust.pem") as new:
            assert serial_of(new) == after != before
            assert session(new) == [0x82, 0x84, 0x86]
        assert session(old) == [0x82, 0x84, 0x86]


def test_a_certificate_that_does_not_fit_its_key_leaves_the_one_before(
    pki: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = Certificate(pki / "gateway.pem", pki / "gateway.key")
    first = certificate.context()
    assert certificate.context() is first
    key = (pki / "gateway.key").read_bytes()
    write_pki(pki)
    (pki / "gateway.key").write_bytes(key)
    with caplog.at_level(logging.WARNING):
        assert certificate.context() is first
        assert certificate.context() is first
    assert len(caplog.records) == 1
    write_pki(pki)
    assert certificate.context() is not first


def test_without_a_certificate_plain_works_and_tls_ends(tmp_path: Path) -> None:
    with open_port(pki=tmp_path) as port:
        with port.connect() as client:
            assert session(client) == [0x82, 0x84, 0x86]
        with port.connect() as client:
            client.send(b"\x16\x03\x01\x00\x05hello")
            while not client.closed():
                pass


def test_an_alert_inside_the_handshake_harms_nobody(port: Port) -> None:
    with port.connect() as client:
        client.send(b"\x16\x03\x01\x00\x02\x01\x00" + b"\x15\x03\x01\x00\x02\x02\x28" + raw(7, []))
        while not client.closed():
            pass
    with port.connect() as client:
        assert session(client) == [0x82, 0x84, 0x86]
