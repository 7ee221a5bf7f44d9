"""Header rules, limits, the reader and the published vectors."""

from __future__ import annotations

import pytest

from qekm.dkp.codes import Code, Fault
from qekm.dkp.frame import (
    MAX_BODY,
    MAX_FRAME,
    MAX_NOTIFY_BODY,
    Frame,
    MessageType,
    Reader,
    Tag,
    build,
    error_frame,
    fault_of,
    parse,
    serialize,
)
from tests.dkp.material import GOOD, SENSE, raw, required

# docs/protocol.md, section 13.
NOTIFY = bytes.fromhex(
    "51454b4d01010000000000000000000000000001000000660101000c30303133303030303033393201020008500308c09e4a1001"
    "0103000849424d202020202001040010554c54333538302d5444342020202020010500043737424501060008453031303031"
    "4c3401700012700007000000000a00000000ef1100000000"
)
REFUSAL = bytes.fromhex(
    "51454b4d01ff00000000000000000000000000020000002c01700012700005000000000a00000000ef01000000000171001270"
    "0007000000000a00000000746400000000"
)
GOOD_PING = raw(7, [])


def refusal_of(data: bytes) -> Fault:
    """Return the fault with which these bytes are refused."""
    with pytest.raises(Fault) as caught:
        parse(data)
    return caught.value


def test_the_notify_vector_is_what_build_makes() -> None:
    frame = build(
        MessageType.DRIVER_ERROR_NOTIFY,
        0,
        1,
        [
            (Tag.DRIVE_SERIAL, b"001300000392"),
            (Tag.DRIVE_WWNN, bytes.fromhex("500308c09e4a1001")),
            (Tag.VENDOR, b"IBM     "),
            (Tag.PRODUCT, b"ULT3580-TD4     "),
            (Tag.FIRMWARE, b"77BE"),
            (Tag.VOLSER, b"E01001L4"),
            (Tag.SENSE, SENSE),
        ],
    )
    assert serialize(frame) == NOTIFY
    assert parse(NOTIFY) == frame


def test_the_refusal_vector_is_what_error_frame_makes() -> None:
    assert serialize(error_frame(Fault(Code.EF01), 0, 2)) == REFUSAL
    assert fault_of(parse(REFUSAL)).code is Code.EF01


def test_an_error_with_a_foreign_code_counts_as_an_internal_failure() -> None:
    frame = build(0xFF, 0, 2, [(Tag.SENSE, SENSE), (Tag.SENSE_T10, SENSE)])
    assert fault_of(frame).code is Code.EE0F


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "shorter than its header"),
        (GOOD_PING[:23], "shorter than its header"),
        (b"q" + GOOD_PING[1:], "begins with QEKM"),
        (b"GET / HTTP/1.1", "begins with QEKM"),
        (b"QEKM\x02" + GOOD_PING[5:], "version 2 is not supported; the highest is 1"),
        (b"QEKM\x00" + GOOD_PING[5:], "version 0 is not supported"),
        (GOOD_PING + b"\0", "body length and frame differ"),
        (GOOD_PING[:20] + b"\0\0\0\1", "body length and frame differ"),
        (GOOD_PING[:20] + b"\0\0\x40\x01", "16385 bytes"),
        (GOOD_PING[:20] + b"\xff\xff\xff\xff", "4294967295 bytes"),
        (raw(1, [(0x8000, bytes(MAX_NOTIFY_BODY - 3))]), "4097 bytes"),
        (raw(7, [], flags=0x10), "reserved flags are set: 0010"),
        (raw(7, [], flags=0x8000), "reserved flags are set: 8000"),
        (raw(7, [(0x8000, b"")])[:-1] + b"\1", "8000 runs past the frame"),
    ],
)
def test_a_bad_frame_is_ee23_with_a_text_that_names_it(data: bytes, text: str) -> None:
    fault = refusal_of(data)
    assert fault.code is Code.EE23
    assert text in fault.text


@pytest.mark.parametrize("rest", [1, 2, 3])
def test_a_tlv_header_that_is_cut_off_is_refused(rest: int) -> None:
    body = b"\x80\0\0\0" + bytes(rest)
    fault = refusal_of(GOOD_PING[:20] + len(body).to_bytes(4) + body)
    assert (fault.text, fault.offending) == ("a TLV is cut off", (0, 28))


def test_a_frame_holds_64_tlvs_and_not_65() -> None:
    tlvs = [(0x8000 + n, b"") for n in range(64)]
    assert len(parse(raw(7, tlvs)).tlvs) == 64
    assert "more than 64 TLVs" in refusal_of(raw(7, [*tlvs, (0xFFFF, b"")])).text


def test_the_largest_bodies_are_taken() -> None:
    assert len(parse(raw(7, [(0x8000, bytes(MAX_BODY - 4))])).tlvs) == 1
    assert len(parse(raw(1, [(0x8000, bytes(MAX_NOTIFY_BODY - 4))])).tlvs) == 1


def test_an_unknown_message_type_parses_with_any_known_tlv() -> None:
    frame = parse(raw(0x55, [(0x0101, GOOD[0x0101]), (0x0190, GOOD[0x0190])]))
    assert frame.type == 0x55


def test_a_frame_that_cannot_be_sent_is_our_own_failure() -> None:
    for frame in (
        Frame(7, 0, 0, 1, ((0x8000, bytes(70_000)),)),
        Frame(7, 0, 0, 1, ((0x8000, bytes(MAX_BODY)),)),
        Frame(7, 0, -1, 1, ()),
        Frame(7, 0, 2**64, 1, ()),
    ):
        with pytest.raises(Fault) as caught:
            serialize(frame)
        assert caught.value.code is Code.EE0F


def test_get_and_all_find_values_by_type() -> None:
    frame = build(
        0x82, 5, 2, [(Tag.CERTIFICATE, b"leaf"), (Tag.CHALLENGE, bytes(32)), (Tag.CERTIFICATE, b"root")]
    )
    assert frame.get(Tag.CERTIFICATE) == b"leaf"
    assert frame.all(Tag.CERTIFICATE) == (b"leaf", b"root")
    assert (frame.get(Tag.DKI), frame.all(Tag.DKI)) == (None, ())


def test_what_is_printed_of_a_frame_holds_no_values() -> None:
    frame = parse(raw(0x04, [(0x0170, SENSE), (0x0190, GOOD[0x0190])], flags=8))
    assert repr(frame) == "Frame(04 flags=8 sequence=1 0170[18] 0190[68])"


def test_a_reader_waits_for_the_whole_frame() -> None:
    reader = Reader()
    reader.feed(NOTIFY[:125])
    assert reader.next_frame() is None
    assert reader.pending == 125
    reader.feed(NOTIFY[125:] + GOOD_PING)
    assert reader.next_frame() == NOTIFY
    assert reader.next_frame() == GOOD_PING
    assert reader.next_frame() is None
    assert reader.pending == 0


@pytest.mark.parametrize(
    "beginning", [b"q", b"QEKN", b"QEKM\x02", GOOD_PING[:20] + b"\0\1\0\0", NOTIFY[:20] + b"\0\0\x10\x01"]
)
def test_a_reader_refuses_a_header_at_the_first_byte_that_is_wrong(beginning: bytes) -> None:
    reader = Reader()
    reader.feed(GOOD_PING + beginning[:-1])
    assert reader.next_frame() == GOOD_PING
    if len(beginning) < 24:
        assert reader.next_frame() is None
    reader.feed(beginning[-1:])
    for _ in range(2):
        with pytest.raises(Fault) as caught:
            reader.next_frame()
        assert caught.value.code is Code.EE23
    reader.feed(bytes(MAX_FRAME))
    assert reader.pending == 0


def test_required_tlvs_make_frames_that_parse() -> None:
    for kind in MessageType:
        assert parse(raw(kind, required(kind))).type == kind
