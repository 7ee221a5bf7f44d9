"""The state table of one conversation, every state against every message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.dkp.codes import Code, Fault
from qekm.dkp.frame import Frame, MessageType, build, fault_of, parse
from qekm_gateway.session import Session, State
from tests.dkp.material import GOOD, LISTS, MOST, raw, required

ID = 0x1122334455667788
# Written from docs/protocol.md: what may come, and where the service's answers lead.
MAY_COME = {"IDLE": {0x01, 0x07}, "DSK": {0x02}, "DKI": {0x03}, "STATUS": {0x04}, "KEY": set()}
LEADS = {
    (0x01, 0x82): "DSK",
    (0x01, 0x86): "IDLE",
    (0x02, 0x83): "DKI",
    (0x02, 0x84): "STATUS",
    (0x02, 0x85): "STATUS",
    (0x03, 0x84): "STATUS",
    (0x04, 0x86): "IDLE",
}
ALL_TYPES = sorted({*LISTS, 0x00, 0x05, 0x81, 0xFE})


def client(kind: int, session_id: int, sequence: int) -> Frame:
    """Return a good frame of this type."""
    flags = {0x02: 8, 0x03: 0xC, 0x04: 8}.get(kind, 0)
    tlvs = required(kind) if kind in LISTS else []
    return parse(raw(kind, tlvs, flags, session_id, sequence))


def server(kind: int, session_id: int, sequence: int) -> Frame:
    """Return a server's frame of this type; the session looks at the header only."""
    return build(kind, session_id, sequence, ())


def session_in(state: str) -> tuple[Session, int, int]:
    """Return a session in a state, its id, and the sequence that the client's next frame has."""
    session = Session()
    if state == "IDLE":
        return session, 0, 1
    session.receive(client(0x01, 0, 1))
    if state == "KEY":
        return session, 0, 3
    session.answer(server(0x82, ID, 2))
    if state == "DSK":
        return session, ID, 3
    session.receive(client(0x02, ID, 3))
    session.answer(server(0x83 if state == "DKI" else 0x84, ID, 4))
    return session, ID, 5


@pytest.mark.parametrize("state", sorted(MAY_COME))
@pytest.mark.parametrize("kind", ALL_TYPES)
def test_a_message_is_taken_in_its_state_and_ee2d_in_any_other(state: str, kind: int) -> None:
    session, session_id, sequence = session_in(state)
    assert session.state is State[state]
    if kind == 0x07:
        session_id, sequence = (0, 1) if state == "IDLE" else (session_id, sequence)
    if kind in MAY_COME[state]:
        answer = session.receive(client(kind, session_id, sequence))
        assert (answer is not None) == (kind == 0x07)
        assert session.state is (State.IDLE if kind == 0x07 else State.KEY)
        return
    with pytest.raises(Fault) as caught:
        session.receive(client(kind, session_id, sequence))
    assert caught.value.code is Code.EE2D
    assert session.state is State[state]


@pytest.mark.parametrize("asked", [0x01, 0x02, 0x03, 0x04])
@pytest.mark.parametrize("kind", sorted(LISTS))
def test_the_service_s_answer_leads_where_the_table_says_and_no_other_is_taken(asked: int, kind: int) -> None:
    before = {0x01: "IDLE", 0x02: "DSK", 0x03: "DKI", 0x04: "STATUS"}[asked]
    session, session_id, sequence = session_in(before)
    session.receive(client(asked, session_id, sequence))
    answer = server(kind, ID if kind == 0x82 else session_id, sequence + 1)
    if (asked, kind) not in LEADS:
        with pytest.raises(Fault) as caught:
            session.answer(answer)
        assert caught.value.code is Code.EE0F
        assert session.state is State.KEY
        return
    session.answer(answer)
    state = LEADS[asked, kind]
    assert session.state is State[state]
    assert session.session_id == (0 if state == "IDLE" else ID)
    assert session.sequence == (0 if state == "IDLE" else sequence + 1)


def test_ping_is_answered_here_with_session_0_and_sequence_2() -> None:
    session = Session()
    assert session.receive(client(0x07, 0, 1)) == build(MessageType.PONG, 0, 2, ())
    assert session.idle


@pytest.mark.parametrize(("session_id", "sequence"), [(1, 1), (0, 0), (0, 2), (0, 2**32 - 1), (2**64 - 1, 1)])
@pytest.mark.parametrize("kind", [0x01, 0x07])
def test_a_first_frame_has_session_0_and_sequence_1(kind: int, session_id: int, sequence: int) -> None:
    with pytest.raises(Fault) as caught:
        Session().receive(client(kind, session_id, sequence))
    assert caught.value.code is Code.EE2D


@pytest.mark.parametrize("state", ["DSK", "DKI", "STATUS"])
@pytest.mark.parametrize("change", ["session", "zero", "sequence", "again"])
def test_a_wrong_session_id_or_sequence_is_ee2d(state: str, change: str) -> None:
    session, session_id, sequence = session_in(state)
    kind = next(iter(MAY_COME[state]))
    session_id = {"session": session_id ^ 1, "zero": 0}.get(change, session_id)
    sequence = {"sequence": sequence + 1, "again": sequence - 2}.get(change, sequence)
    with pytest.raises(Fault) as caught:
        session.receive(client(kind, session_id, sequence))
    assert caught.value.code is Code.EE2D


def test_ee2d_comes_before_a_missing_tlv_and_that_before_eee1() -> None:
    bare = parse(raw(0x01, [(0x0101, b"1")], 0x0F, 0, 2))
    with pytest.raises(Fault) as caught:
        Session().receive(bare)
    assert caught.value.code is Code.EE2D
    bare = parse(raw(0x01, [(0x0101, b"1")], 0x0F, 0, 1))
    with pytest.raises(Fault) as caught:
        Session().receive(bare)
    assert (caught.value.code, caught.value.offending) == (Code.EE23, (0x0102, 0))
    full = parse(raw(0x01, required(0x01), 0x0F, 0, 1))
    with pytest.raises(Fault) as caught:
        Session().receive(full)
    assert caught.value.code is Code.EEE1


def test_a_frame_that_names_an_eedk_is_eee1() -> None:
    tlvs = sorted([*required(0x01), (0x0110, GOOD[0x0110])])
    assert MOST[0x0110] == 2
    with pytest.raises(Fault) as caught:
        Session().receive(parse(raw(0x01, tlvs, 2)))
    assert caught.value.code is Code.EEE1


@pytest.mark.parametrize(
    ("state", "session_id", "sequence"),
    [("IDLE", 0, 2), ("KEY", 0, 2), ("DSK", ID, 4), ("DKI", ID, 6), ("STATUS", ID, 6)],
)
def test_an_error_has_the_session_s_id_and_the_server_s_last_sequence_plus_2(
    state: str, session_id: int, sequence: int
) -> None:
    session, _, _ = session_in(state)
    frame = session.refuse(Fault(Code.EE2D, "why"))
    assert (frame.type, frame.session_id, frame.sequence) == (MessageType.ERROR, session_id, sequence)
    assert fault_of(frame).code is Code.EE2D
    assert session.idle
    assert session.session_id == 0
    assert session.receive(client(0x07, 0, 1)) is not None


def test_a_query_dsk_without_a_session_id_is_no_answer() -> None:
    session, _, _ = session_in("KEY")
    with pytest.raises(Fault):
        session.answer(server(0x82, 0, 2))


@pytest.mark.parametrize(("session_id", "sequence"), [(ID ^ 1, 6), (0, 6), (ID, 5), (ID, 8)])
def test_an_answer_of_another_session_or_sequence_is_no_answer(session_id: int, sequence: int) -> None:
    session, _, _ = session_in("STATUS")
    session.receive(client(0x04, ID, 5))
    with pytest.raises(Fault):
        session.answer(server(0x86, session_id, sequence))


def test_an_answer_that_nobody_asked_for_is_no_answer() -> None:
    session, _, _ = session_in("STATUS")
    with pytest.raises(Fault):
        session.answer(server(0x86, ID, 6))


@given(
    st.lists(
        st.tuples(st.sampled_from(ALL_TYPES), st.booleans(), st.sampled_from(sorted(LISTS))), max_size=12
    )
)
def test_whatever_is_said_in_whatever_order_only_faults_are_raised(said: list[tuple[int, bool, int]]) -> None:
    session = Session()
    for kind, right, answer in said:
        sequence = session.sequence + (1 if right else 3)
        try:
            session.receive(client(kind, session.session_id, sequence))
            if session.state is State.KEY:
                opens = answer == 0x82
                session.answer(server(answer, ID if opens else session.session_id, session.sequence + 2))
        except Fault as fault:
            assert fault.code in (Code.EE2D, Code.EE0F)
            session.refuse(fault)
            assert session.idle
