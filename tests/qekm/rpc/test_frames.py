"""Laws of carrying frames in messages: nothing is lost or added, and hostile messages are refused."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from qekm.dkp.codes import Code, Fault
from qekm.dkp.frame import Frame, build, error_frame, fault_of, parse, serialize
from qekm.dkp.messages import check_flags
from qekm.dkp.signed import join_dsk_list
from qekm.rpc.frames import fault_of_error, frame_of_reply, frame_of_step, to_reply, to_step
from qekm.v1.serving_pb2 import Error, QueryDki, Reply, Step
from tests.dkp.material import GOOD, frames, raw, required

DSK_LISTS = st.builds(
    join_dsk_list,
    st.integers(0, 2**32 - 1),
    st.binary(max_size=60),
    st.integers(0, 2**16 - 1),
    st.binary(max_size=60),
)


@st.composite
def client_frames(draw: st.DrawFn) -> Frame:
    """Draw a checked frame that a client may send to the service."""
    frame = parse(draw(frames(client_only=True)))
    assume(frame.type != 0x07)
    tlvs = tuple((tag, draw(DSK_LISTS) if tag == 0x0122 else value) for tag, value in frame.tlvs)
    frame = dataclasses.replace(frame, tlvs=tlvs)
    try:
        check_flags(frame)
    except Fault:
        assume(False)
    return frame


@st.composite
def server_frames(draw: st.DrawFn) -> Frame:
    """Draw a frame that a server may send, without what only clients may add."""
    frame = parse(draw(frames()))
    assume(frame.type in (0x82, 0x83, 0x84, 0x85, 0x86))
    return build(
        frame.type,
        frame.session_id,
        frame.sequence,
        [(tag, value) for tag, value in frame.tlvs if tag < 0x8000 and tag != 0x0110],
    )


@given(client_frames(), st.integers(0, 2**64 - 1), st.text(max_size=20))
def test_a_step_gives_back_the_frame_it_was_made_of(frame: Frame, step_id: int, source: str) -> None:
    step = to_step(frame, step_id, source)
    assert (step.step_id, step.source) == (step_id, source)
    sent = Step.FromString(step.SerializeToString())
    assert frame_of_step(sent) == frame
    assert serialize(frame_of_step(sent)) == serialize(frame)


@given(server_frames(), st.integers(0, 2**64 - 1))
def test_a_reply_gives_back_the_frame_it_was_made_of(frame: Frame, step_id: int) -> None:
    reply = to_reply(frame, step_id, frame.session_id, frame.sequence)
    sent = Reply.FromString(reply.SerializeToString())
    assert sent.step_id == step_id
    assert frame_of_reply(sent) == frame


@pytest.mark.parametrize("code", list(Code))
def test_a_fault_becomes_an_error_frame_of_its_code(code: Code) -> None:
    fault = Fault(code, "why", (0x0130, 77))
    reply = Reply.FromString(to_reply(fault, 5, 9, 4).SerializeToString())
    frame = frame_of_reply(reply)
    assert frame == error_frame(fault, 9, 4)
    told = fault_of(frame)
    assert (told.code, told.text, told.offending) == (code, "why", (0x0130, 77))


@given(st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), max_size=300))
def test_an_error_text_is_cut_so_that_the_frame_parses(text: str) -> None:
    frame = frame_of_reply(to_reply(Fault(Code.EE31, text), 1, 0, 2))
    assert parse(serialize(frame)) == frame
    assert fault_of(frame).offending is None


def test_an_error_of_an_unknown_code_is_told_as_ee0f_without_details() -> None:
    fault = fault_of_error(Error(code=0xEE99, text="secret detail"))
    assert (fault.code, fault.text) == (Code.EE0F, "")


def test_the_smallest_signature_and_an_empty_message_survive() -> None:
    empty = parse(raw(0x86, [(0x0190, bytes(4))], 8, 7, 6))
    assert frame_of_reply(to_reply(empty, 1, 7, 6)) == empty
    unsigned = parse(raw(0x86, [], 0, 0, 2))
    assert frame_of_reply(to_reply(unsigned, 1, 0, 2)) == unsigned
    query = parse(raw(0x83, [], 0, 7, 4))
    assert frame_of_reply(to_reply(query, 1, 7, 4)) == query


def test_the_highest_extension_type_is_no_field() -> None:
    frame = parse(raw(0x04, [(0x0170, GOOD[0x0170]), (0xFFFF, b""), (0x0190, GOOD[0x0190])], 8, 7, 5))
    assert frame_of_step(to_step(frame, 1, "a:1")) == frame


@pytest.mark.parametrize(
    "value", [b"", b"\x00", b"\x02" + GOOD[0x0122], join_dsk_list(1, b"p", 2, b"s") + b"x"]
)
def test_a_dsk_list_that_cannot_be_split_is_ee2c(value: bytes) -> None:
    tlvs = [(tag, value if tag == 0x0122 else good) for tag, good in required(0x02)]
    with pytest.raises(Fault) as caught:
        to_step(parse(raw(0x02, tlvs, 8, 7, 3)), 1, "a:1")
    assert caught.value.code is Code.EE2C


def hostile(change: str) -> Step:
    """Return a step that an honest gateway would not send."""
    step = to_step(parse(raw(0x01, required(0x01))), 1, "a:1")
    message = step.driver_error_notify
    if change == "nothing":
        step.ClearField("driver_error_notify")
    elif change == "long":
        message.drive_serial = "1" * 17
    elif change == "control":
        message.volser = "A\n"
    elif change == "extension":
        message.extensions.add(type=0x0101, value=b"1")
    elif change == "wide":
        message.extensions.add(type=0x18000, value=b"1")
    elif change == "huge":
        message.extensions.add(type=0x8000, value=bytes(70_000))
    return step


@pytest.mark.parametrize("change", ["nothing", "long", "control", "extension", "wide", "huge"])
def test_a_step_that_no_frame_makes_is_refused(change: str) -> None:
    with pytest.raises(Fault):
        frame_of_step(hostile(change))


def test_a_signature_type_that_no_tlv_holds_is_refused() -> None:
    step = to_step(parse(raw(0x04, required(0x04), 8, 7, 5)), 1, "a:1")
    step.key_status.signature.type = 0x10004
    with pytest.raises(Fault) as caught:
        frame_of_step(step)
    assert caught.value.code is Code.EE23


def test_a_reply_without_a_frame_is_ee0f() -> None:
    with pytest.raises(Fault) as caught:
        frame_of_reply(Reply(step_id=1))
    assert caught.value.code is Code.EE0F
    assert frame_of_reply(Reply(query_dki=QueryDki())).type == 0x83
