"""What only the gateway sees is told while the debug log is written: in order, in words, and never a key."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from qekm.v1.serving_pb2 import ServeRequest
from qekm_gateway.debug import Debug
from qekm_gateway.reports import Reports
from tests.dkp.material import raw
from tests.fakes.link import FakeLink, Lost
from tests.gateway.movable import Movable, connect, movable
from tests.gateway.pki import write_pki
from tests.gateway.test_connection import NOTIFY, PING, session
from tests.waiting import wait_for


class Noted:
    """Keeps what a gateway tells."""

    def __init__(self, site: Movable) -> None:
        self.lines: list[tuple[str, str]] = []
        site.gateway.debug.tell = lambda source, text: self.lines.append((source, text))
        site.gateway.debug.on = True

    @property
    def texts(self) -> list[str]:
        """The lines without their source."""
        return [text for _, text in self.lines]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Movable]:
    write_pki(tmp_path, "gateway")
    with movable(pki=tmp_path, per_address=2) as site:
        yield site


def test_a_connection_is_told_from_accept_to_its_end_by_its_address(site: Movable) -> None:
    noted = Noted(site)
    with connect(site.ports.port) as client:
        assert session(client) == [0x82, 0x84, 0x86]
        assert client.ask(PING).type == 0x87
        host, port = client.socket.getsockname()
    wait_for(lambda: len(noted.lines) == 3)
    assert noted.lines == [
        (f"{host}:{port}", text)
        for text in ("connected", "answered by the gateway: PONG", "closed: the client closed the connection")
    ]


def test_tls_is_told_by_version_and_cipher_once(site: Movable, tmp_path: Path) -> None:
    noted = Noted(site)
    with connect(site.ports.port).over_tls(tmp_path / "trust.pem") as client:
        assert [client.ask(PING).type for _ in range(2)] == [0x87, 0x87]
    assert [text for text in noted.texts if text.startswith("TLS")] == ["TLS: TLSv1.3 TLS_AES_256_GCM_SHA384"]


def test_refusals_are_told_with_their_code_and_what_is_no_frame_by_a_few_bytes(site: Movable) -> None:
    noted = Noted(site)
    secret = bytes(range(1, 33))
    for data in (b"GET / HTTP/1.1\r\n" + secret, raw(0x04, []), b"\x16\x03\x01\x00\x05" + secret):
        with connect(site.ports.port) as client:
            client.send(data)
            client.socket.recv(4_096)
            client.socket.shutdown(socket.SHUT_WR)
            while client.socket.recv(4_096):
                pass
    wait_for(lambda: len([text for text in noted.texts if text.startswith("closed")]) == 3)
    said = "\n".join(noted.texts)
    assert "no frame: 48 bytes, 47 45 54 20 2f 20 48 54 …" in said
    assert "answered by the gateway: ERROR EE2D" in said
    assert "what came is no TLS, or not TLS 1.3" in said
    assert secret[:4].hex(" ") not in said


def test_whoever_finds_no_place_is_told_of(site: Movable) -> None:
    noted = Noted(site)
    with connect(site.ports.port) as one, connect(site.ports.port) as two:
        assert (one.ask(PING).type, two.ask(PING).type) == (0x87, 0x87)
        with connect(site.ports.port) as third:
            assert third.closed()
    assert "turned away: there are too many connections" in noted.texts


def test_a_service_that_does_not_answer_is_told_of() -> None:
    with movable(link=FakeLink(lambda _frame: Lost())) as site:
        noted = Noted(site)
        with connect(site.ports.port) as client:
            assert client.ask(NOTIFY).type == 0xFF
        assert "no answer from the service" in noted.texts


def test_off_nothing_is_told_and_nothing_is_put_into_words() -> None:
    class Unspeakable:
        def __str__(self) -> str:
            raise AssertionError

    debug = Debug()
    told: list[str] = []
    debug.tell = lambda _source, text: told.append(text)
    debug.note("a:1", "it is %s", Unspeakable())
    assert told == []
    debug.on = True
    debug.note("a:1", "100 %")
    debug.note("a:1", "%s %d", "x", 7)
    assert told == ["100 %", "x 7"]


def test_lines_wait_until_they_are_released_and_are_bounded_and_those_dropped_are_counted() -> None:
    reports = Reports()
    for number in range(5_000):
        reports.noted("a:1", str(number))
    assert not reports.waiting
    reports.release_lines()
    requests: list[ServeRequest] = []
    while reports.waiting:
        requests.append(ServeRequest())
        reports.move_to(requests[-1])
    lines = [line.text for request in requests for line in request.debug_lines]
    assert max(len(request.debug_lines) for request in requests) <= 257
    assert "2952 lines of the gateway were dropped" in lines
    assert [line for line in lines if line.isdecimal()] == [str(number) for number in range(2_048)]
    reports.noted("a:1", "later")
    assert not reports.waiting
