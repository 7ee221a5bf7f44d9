"""What is missing, which flags follow, which fields contradict each other."""

from __future__ import annotations

import pytest

from qekm.dkp.codes import Code, Fault
from qekm.dkp.frame import Frame, MessageType, build, parse
from qekm.dkp.messages import LISTED, MESSAGES, check_flags, check_missing, named_dki
from tests.dkp.material import DKI, GOOD, LISTS, TRANSLATE, raw, required, status_page

# docs/protocol.md, section 5: what the flags are when only the required TLVs are there.
FLAGS = {
    0x01: 0,
    0x82: 0,
    0x02: 8,
    0x83: 0,
    0x03: 0xC,
    0x84: 0xD,
    0x85: 8,
    0x04: 8,
    0x86: 0,
    0x07: 0,
    0x87: 0,
    0xFF: 0,
}


def notify(*more: tuple[int, bytes], sense: bytes = GOOD[0x0170]) -> Frame:
    """Return a message 01 with TLVs besides the required ones."""
    tlvs = [(tag, sense if tag == 0x0170 else value) for tag, value in required(1)]
    return build(MessageType.DRIVER_ERROR_NOTIFY, 0, 1, [*tlvs, *more])


def test_the_message_table_is_the_published_one() -> None:
    assert set(MESSAGES) == set(LISTS) == set(MessageType)
    for kind, (needs, may) in LISTS.items():
        assert set(LISTED[kind]) == {*needs, *may}
        assert MESSAGES[kind].from_client == (kind < 0x80)


@pytest.mark.parametrize(
    ("kind", "tag"), [(kind, tag) for kind, (needs, _) in LISTS.items() for tag in needs]
)
def test_a_required_tlv_that_is_missing_is_ee23_and_named(kind: int, tag: int) -> None:
    check_missing(parse(raw(kind, required(kind))))
    with pytest.raises(Fault, match=f"{tag:04X} is missing") as caught:
        check_missing(parse(raw(kind, [tlv for tlv in required(kind) if tlv[0] != tag])))
    assert caught.value.code is Code.EE23
    assert caught.value.offending == (tag, 0)


def test_an_eedk_stands_in_for_a_dki() -> None:
    check_missing(build(3, 9, 5, [(0x0110, GOOD[0x0110]), (0x0190, GOOD[0x0190])]))


def test_nothing_is_missing_in_a_message_of_unknown_type() -> None:
    check_missing(parse(raw(0x55, [])))


@pytest.mark.parametrize("kind", sorted(FLAGS))
def test_flags_are_right_in_one_way_only(kind: int) -> None:
    for flags in range(16):
        frame = parse(raw(kind, required(kind), flags=flags))
        if flags == FLAGS[kind]:
            check_flags(frame)
            assert build(kind, 0, 1, frame.tlvs) == frame
            continue
        with pytest.raises(Fault) as caught:
            check_flags(frame)
        assert caught.value.code is Code.EEE1


@pytest.mark.parametrize(
    "frame",
    [
        notify((0x0110, GOOD[0x0110])),
        notify((0x0108, GOOD[0x0108])),
        notify((0x0110, GOOD[0x0110]), (0x0130, DKI)),
        build(3, 9, 5, [(0x0110, GOOD[0x0110]), (0x0190, GOOD[0x0190])]),
        build(0x84, 9, 6, [*required(0x84), (0x0110, GOOD[0x0110])]),
        notify((0x0130, b"ABC" + DKI[3:]), (0x2021, status_page(6))),
        notify((0x2021, status_page(3)), sense=TRANSLATE),
        notify((0x2021, status_page(0xF3, None)), sense=TRANSLATE),
    ],
)
def test_a_contradiction_is_eee1(frame: Frame) -> None:
    with pytest.raises(Fault) as caught:
        check_flags(frame)
    assert caught.value.code is Code.EEE1


@pytest.mark.parametrize(
    ("frame", "dki", "flags"),
    [
        (notify(), None, 0),
        (notify((0x0130, DKI)), DKI, 4),
        (notify((0x2021, status_page(6)), sense=TRANSLATE), DKI, 4),
        (notify((0x2021, status_page(3))), DKI, 4),
        (notify((0x2021, status_page(6, None))), None, 0),
        (notify((0x2021, status_page(6, b"key1"))), b"key1" + bytes(8), 4),
        (notify((0x0130, DKI), (0x2021, status_page(6)), sense=TRANSLATE), DKI, 4),
        (notify((0x0130, DKI), (0x2021, status_page(6, None))), DKI, 4),
    ],
)
def test_a_dki_may_be_named_in_two_places(frame: Frame, dki: bytes | None, flags: int) -> None:
    check_flags(frame)
    assert frame.flags == flags
    assert named_dki(frame) == dki
