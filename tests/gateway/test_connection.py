"""The drives' port over real sockets, on both loops: what is answered and when a connection ends."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from qekm.dkp.codes import Code, Fault
from qekm.dkp.frame import Frame, MessageType, build, fault_of
from tests.dkp.material import GOOD, TRANSLATE, raw, required
from tests.fakes.link import SESSION, Away, FakeLink, Lost, Silent, serve
from tests.gateway.port import Client, NewLoop, Port, open_port
from tests.waiting import wait_for

NOTIFY = raw(0x01, required(0x01))
DSK = bytes.fromhex("01000000010000") + b"\x00\x02\x00\x00"
REPLY = raw(0x02, [(tag, DSK if tag == 0x0122 else value) for tag, value in required(0x02)], 8, SESSION, 3)
STATUS = raw(0x04, required(0x04), 8, SESSION, 5)
PING = raw(0x07, [])


@pytest.fixture
def port(new_loop: NewLoop) -> Iterator[Port]:
    with open_port(new_loop=new_loop) as port:
        yield port
        assert port.gateway.incidents.count == 0


def code_of(frame: Frame) -> Code:
    assert frame.type == MessageType.ERROR
    return fault_of(frame).code


def session(client: Client) -> list[int]:
    """Hold a whole session and return the types of what the server said."""
    return [client.ask(data).type for data in (NOTIFY, REPLY, STATUS)]


def test_one_connection_carries_sessions_and_pings_one_after_another(port: Port) -> None:
    with port.connect() as client:
        for _ in range(3):
            assert client.ask(PING) == build(MessageType.PONG, 0, 2, ())
            assert session(client) == [0x82, 0x84, 0x86]
        host, number = client.socket.getsockname()
    assert {step.source for step in port.link.steps} == {f"{host}:{number}"}
    assert [step.WhichOneof("frame") for step in port.link.steps[:3]] == [
        "driver_error_notify",
        "query_dsk_reply",
        "key_status",
    ]
    assert port.link.ends == []
    assert port.link.refusals == {}


def test_a_session_sent_byte_by_byte_is_the_same(port: Port) -> None:
    with port.connect() as client:
        for data in (PING, NOTIFY, REPLY, STATUS):
            for byte in data:
                client.send(bytes((byte,)))
            assert client.frame().type in (0x87, 0x82, 0x84, 0x86)


def test_pipelined_pings_are_answered_in_turn(port: Port) -> None:
    with port.connect() as client:
        client.send(PING * 3_000)
        for _ in range(3_000):
            assert client.frame().type == MessageType.PONG


def test_frames_sent_ahead_wait_their_turn(port: Port) -> None:
    with port.connect() as client:
        client.send(NOTIFY + REPLY + STATUS + PING)
        assert [client.frame().type for _ in range(4)] == [0x82, 0x84, 0x86, 0x87]


def test_no_operation_is_completed_without_a_session(port: Port) -> None:
    tlvs = dict(required(0x01)) | {0x0170: bytes.fromhex("700007000000000a00000000efc000000000")}
    with port.connect() as client:
        assert client.ask(raw(0x01, sorted(tlvs.items()))) == build(0x86, 0, 2, ())
        assert session(client) == [0x82, 0x84, 0x86]


@pytest.mark.parametrize(
    "data",
    [
        b"X",
        b"GET / HTTP/1.1\r\n",
        b"QEKX" + NOTIFY[4:],
        b"QEKM\x02" + NOTIFY[5:],
        NOTIFY[:20] + b"\xff\xff\xff\xff",
        raw(0x01, [(0x0101, b"1" * 17)]),
        raw(0x01, [*required(0x01), (0x0190, GOOD[0x0190])]),
        raw(0x01, required(0x01)[:-1]),
        raw(0x01, required(0x01)[::-1]),
        raw(0x01, required(0x01), 0x8000),
        raw(0x07, [(0x0101, b"1")]),
    ],
)
def test_what_cannot_be_parsed_is_ee23_and_the_connection_ends(port: Port, data: bytes) -> None:
    with port.connect() as client:
        frame = client.ask(data)
        assert (code_of(frame), frame.session_id, frame.sequence) == (Code.EE23, 0, 2)
        client.send(PING)  # read and discarded, so that what was said is not lost
        assert client.closed()
    assert [(key[0], key[1]) for key in port.link.refusals] == [("127.0.0.1", Code.EE23)]
    assert port.link.steps == []


def test_ee23_in_a_session_carries_its_id_and_ends_it(port: Port) -> None:
    with port.connect() as client:
        client.ask(NOTIFY)
        frame = client.ask(raw(0x02, [], 0, SESSION, 3))
        assert (code_of(frame), frame.session_id, frame.sequence) == (Code.EE23, SESSION, 4)
        assert client.closed()
    ((session_id, _, ending),) = port.link.ends
    assert (session_id, ending.code) == (SESSION, Code.EE23)
    assert port.link.refusals == {}


def test_ee2d_leaves_the_connection_open_and_the_session_ended(port: Port) -> None:
    with port.connect() as client:
        assert code_of(client.ask(raw(0x55, []))) is Code.EE2D
        assert code_of(client.ask(STATUS)) is Code.EE2D
        assert code_of(client.ask(raw(0x82, required(0x82)))) is Code.EE2D
        client.ask(NOTIFY)
        frame = client.ask(raw(0x07, [], 0, SESSION, 3))
        assert (code_of(frame), frame.session_id, frame.sequence) == (Code.EE2D, SESSION, 4)
        assert code_of(client.ask(REPLY)) is Code.EE2D
        assert session(client) == [0x82, 0x84, 0x86]
    assert port.link.ends[0][2].code is Code.EE2D
    assert port.link.refusals == {("127.0.0.1", Code.EE2D, ""): 4}


def test_eee1_names_the_drive_that_claims_to_ask(port: Port) -> None:
    with port.connect() as client:
        assert code_of(client.ask(raw(0x01, required(0x01), 4))) is Code.EEE1
        page = bytes.fromhex("0021000c") + bytes(8) + b"\x03\x01\x00\x00"
        tlvs = dict(required(0x01)) | {0x0170: TRANSLATE, 0x2021: page}
        assert code_of(client.ask(raw(0x01, sorted(tlvs.items())))) is Code.EEE1
        assert session(client) == [0x82, 0x84, 0x86]
    assert port.link.refusals == {("127.0.0.1", Code.EEE1, "001300000392"): 2}


def test_a_dsk_list_that_cannot_be_split_is_ee2c_without_the_service(port: Port) -> None:
    with port.connect() as client:
        client.ask(NOTIFY)
        tlvs = [(tag, b"\x02" if tag == 0x0122 else value) for tag, value in required(0x02)]
        assert code_of(client.ask(raw(0x02, tlvs, 8, SESSION, 3))) is Code.EE2C
        assert client.ask(PING).type == MessageType.PONG
    assert len(port.link.steps) == 1
    assert port.link.ends[0][2].code is Code.EE2C


def test_the_service_s_refusal_is_passed_on_and_not_reported_again(port: Port) -> None:
    port.link.service = lambda frame: (
        Fault(Code.EF01, "not in the table") if frame.type == 1 else serve(frame)
    )
    with port.connect() as client:
        frame = client.ask(NOTIFY)
        told = fault_of(frame)
        assert (told.code, told.text) == (Code.EF01, "not in the table")
        assert (frame.session_id, frame.sequence) == (0, 2)
        assert client.ask(PING).type == MessageType.PONG
    assert port.link.refusals == {}
    assert port.link.ends == []


def test_a_refusal_in_a_session_has_the_session_s_header_whatever_the_service_wrote(port: Port) -> None:
    port.link.service = lambda frame: Fault(Code.EE31) if frame.type == 2 else serve(frame)
    with port.connect() as client:
        client.ask(NOTIFY)
        frame = client.ask(REPLY)
        assert (code_of(frame), frame.session_id, frame.sequence) == (Code.EE31, SESSION, 4)
    assert port.link.ends == []


@pytest.mark.parametrize("away", [Away(), Lost()])
def test_without_the_service_every_step_is_ee0f_at_once_and_ping_still_answered(
    port: Port, away: Away
) -> None:
    port.link.service = lambda _frame: away
    with port.connect() as client:
        for _ in range(3):
            begun = time.monotonic()
            frame = client.ask(NOTIFY)
            assert time.monotonic() - begun < 1
            told = fault_of(frame)
            assert (told.code, told.text, frame.session_id, frame.sequence) == (Code.EE0F, "", 0, 2)
            assert client.ask(PING).type == MessageType.PONG
        port.link.service = serve
        assert session(client) == [0x82, 0x84, 0x86]
    assert sum(port.link.refusals.values()) == 3


def test_a_service_that_breaks_the_protocol_is_ee0f_and_an_incident(new_loop: NewLoop) -> None:
    with open_port(new_loop=new_loop) as port:
        port.link.service = lambda _frame: build(0x86, 5, 2, ())
        with port.connect() as client:
            assert code_of(client.ask(NOTIFY)) is Code.EE0F
            assert client.ask(PING).type == MessageType.PONG
        assert port.gateway.incidents.count == 1


def test_sixteen_errors_end_a_connection(port: Port) -> None:
    with port.connect() as client:
        for _ in range(16):
            assert code_of(client.ask(STATUS)) is Code.EE2D
        assert client.closed()


def test_an_unforeseen_exception_is_ee0f_without_details_and_an_incident(
    new_loop: NewLoop, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_frame: Frame) -> Fault:
        raise RuntimeError("secret 4f4f")

    with open_port(FakeLink(broken), new_loop=new_loop) as port:
        with port.connect() as client, port.connect() as other:
            told = fault_of(client.ask(NOTIFY))
            assert (told.code, told.text) == (Code.EE0F, "")
            assert client.closed()
            assert other.ask(PING).type == MessageType.PONG
        assert port.gateway.incidents.count == 1
    assert "incident" in caplog.text
    assert "RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_a_client_that_goes_in_a_session_is_reported(port: Port) -> None:
    with port.connect() as client:
        client.ask(NOTIFY)
    wait_for(lambda: port.link.ends)
    session_id, _, ending = port.link.ends[0]
    assert (session_id, ending.code) == (SESSION, Code.EE0E)


def test_a_client_that_goes_while_the_service_works_is_abandoned(port: Port) -> None:
    port.link.service = lambda frame: Silent() if frame.type == 2 else serve(frame)
    with port.connect() as client:
        client.ask(NOTIFY)
        client.send(REPLY)
        wait_for(lambda: len(port.link.steps) == 2)
    wait_for(lambda: port.link.ends)
    assert port.link.abandoned == [2]
    assert port.link.ends[0][0] == SESSION


def test_what_floods_in_while_the_service_works_is_not_read(port: Port) -> None:
    port.link.service = lambda _frame: Silent()
    with port.connect() as client:
        client.send(NOTIFY)
        client.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            for _ in range(1_000):
                client.send(bytes(65_536))
        port.run(lambda: port.link.answer(1, Fault(Code.EE31)))
        client.socket.settimeout(5)
        assert code_of(client.frame()) is Code.EE31
