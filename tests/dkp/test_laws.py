"""The three laws of every wire format, by hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.dkp import pages, signed
from qekm.dkp.codes import Code, Fault
from qekm.dkp.fields import RULES
from qekm.dkp.frame import Frame, Reader, build, check, error_frame, fault_of, parse, serialize
from qekm.dkp.messages import check_flags, check_missing, named_dki
from tests.dkp.material import damaged, frames

Outcome = tuple[list[bytes], tuple[Code, str] | None]


def read_all(chunks: list[bytes]) -> Outcome:
    """Return all frames that a reader gives for these chunks, and the fault that ends them."""
    reader, found = Reader(), []
    try:
        for chunk in chunks:
            reader.feed(chunk)
            while (frame := reader.next_frame()) is not None:
                found.append(frame)
    except Fault as fault:
        return found, (fault.code, fault.text)
    return found, None


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda b: b"QEKM\x01" + b) | damaged())
def test_any_bytes_give_a_frame_or_fault_ee23(data: bytes) -> None:
    try:
        frame = parse(data)
    except Fault as fault:
        assert fault.code is Code.EE23
        assert fault.text
        return
    assert serialize(frame) == data
    for judge in (check_missing, check_flags, named_dki):
        try:
            judge(frame)
        except Fault as fault:
            assert fault.code in (Code.EE23, Code.EEE1)


@given(frames())
def test_what_parses_serializes_to_the_same_bytes(data: bytes) -> None:
    frame = parse(data)
    assert serialize(frame) == data
    check_missing(frame)


@given(frames())
def test_build_puts_tlvs_in_order_and_derives_the_flags(data: bytes) -> None:
    frame = parse(data)
    assert build(frame.type, frame.session_id, frame.sequence, frame.tlvs) == frame
    shuffled = build(
        frame.type, frame.session_id, frame.sequence, sorted(frame.tlvs, key=lambda tlv: -tlv[0])
    )
    if len({tag for tag, _ in frame.tlvs}) == len(frame.tlvs):
        assert shuffled == frame


def refused(judge: Callable[[], object]) -> bool:
    """Tell whether a judge raises EE23."""
    try:
        judge()
    except Fault as fault:
        assert fault.code is Code.EE23
        return True
    return False


TLVS = st.tuples(st.sampled_from([*map(int, RULES), 0x0111, 0x8000, 0x9001]), st.binary(max_size=40))


@given(frames(), st.lists(TLVS, max_size=3), st.randoms())
def test_check_refuses_exactly_what_parse_would(
    data: bytes, more: list[tuple[int, bytes]], random: Random
) -> None:
    frame = parse(data)
    tlvs = [*frame.tlvs, *more]
    if more and random.random() < 0.5:
        tlvs.sort()
    made = Frame(frame.type, frame.flags, frame.session_id, frame.sequence, tuple(tlvs))
    assert refused(lambda: check(made)) == refused(lambda: parse(serialize(made)))


@given(st.lists(frames() | damaged() | st.binary(max_size=30), max_size=4).map(b"".join), st.data())
def test_byte_by_byte_equals_all_at_once(stream: bytes, data: st.DataObject) -> None:
    whole = read_all([stream])
    assert read_all([stream[n : n + 1] for n in range(len(stream))]) == whole
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    edges = [0, *cuts, len(stream)]
    assert read_all([stream[a:b] for a, b in pairwise(edges)]) == whole


@given(st.lists(frames(), max_size=4))
def test_a_reader_gives_back_exactly_the_frames_it_was_fed(sent: list[bytes]) -> None:
    assert read_all([b"".join(sent)]) == (sent, None)


PARSERS: list[Callable[[bytes], object]] = [
    pages.parse_public_key_page,
    pages.parse_random_number_page,
    pages.akad_of,
    pages.encryption_status,
    pages.parse_set_data_encryption,
    pages.split_wrapped_key,
    pages.parse_label,
    signed.split_dsk_list,
    signed.split_signature,
]
BEGINNINGS = [
    b"",
    bytes.fromhex("0031020a00000000000000000200"),
    b"\x00\x21\x00",
    b"\x00\x10\x00",
    b"\x01\x00\x00\x00\x05",
]


@pytest.mark.parametrize("parser", PARSERS)
@given(data=st.tuples(st.sampled_from(BEGINNINGS), st.binary(max_size=80)).map(b"".join))
def test_a_part_of_a_frame_raises_nothing_but_faults(parser: Callable[[bytes], object], data: bytes) -> None:
    try:
        parser(data)
    except Fault as fault:
        assert fault.code in (Code.EE23, Code.EE2C)


@given(
    st.sampled_from(Code),
    st.text(max_size=300),
    st.none() | st.tuples(st.integers(1, 0xFFFF), st.integers(0, 2**32 - 1)),
)
def test_a_fault_survives_its_error_frame(code: Code, text: str, offending: tuple[int, int] | None) -> None:
    sent = Fault(code, text, offending)
    frame = error_frame(sent, 7, 4)
    got = fault_of(parse(serialize(frame)))
    assert (got.code, got.text, got.offending) == (sent.code, sent.text, offending)
