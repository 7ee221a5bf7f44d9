"""Every TLV's size and characters, one row each."""

from __future__ import annotations

import pytest

from qekm.dkp.codes import Code, Fault
from qekm.dkp.fields import RULES, Tag
from qekm.dkp.frame import parse
from tests.dkp.material import (
    DKI,
    GOOD,
    LISTS,
    MOST,
    SENSE,
    WRAPPED,
    carrier,
    place,
    raw,
    set_page,
    status_page,
)

NEL = "\u0085".encode()  # a control character beyond ASCII
ASCII_BAD = [b"", b"a\x1f", b"a\x7f", "é".encode(), b"\xff"]
TEXT_BAD = [b"", b"\xff", b"a\nb", b"\x7f", NEL, b"\xed\xa0\x80", b"\xc0\x80"]


def sized(*sizes: int) -> list[bytes]:
    """Return zeros of these lengths."""
    return [bytes(size) for size in sizes]


# tag: values that parse, values that do not.
ROWS: dict[int, tuple[list[bytes], list[bytes]]] = {
    0x0101: ([b"1", b"~" * 16, b" "], [*ASCII_BAD, b"1" * 17]),
    0x0102: (sized(8), sized(0, 7, 9)),
    0x0103: ([b"IBM     ", b" " * 8], [b"IBM", b"IBM      ", b"IBM\0\0\0\0\0"]),
    0x0104: ([b"U" * 16], [b"U" * 15, b"U" * 17, b"U" * 15 + b"\xe9"]),
    0x0105: ([b"77BE"], [b"77B", b"77BE ", b"77B\n"]),
    0x0106: ([b"E", b"E" * 32], [*ASCII_BAD, b"E" * 33]),
    0x0107: ([b"L", b"L" * 32], [*ASCII_BAD, b"L" * 33]),
    0x0108: ([b"k", "schlüssel".encode(), b"k" * 64], [*TEXT_BAD, b"k" * 65]),
    0x0109: ([b"QKM000000000000000001", "é".encode() * 32], [*TEXT_BAD, b"k" * 65]),
    0x010A: (sized(16), sized(0, 15, 17)),
    0x0110: (
        [b"L\x01kX", b"L\x40" + b"k" * 64 + bytes(512), b"H\x20" + bytes(range(128, 160)) + b"X"],
        [
            b"",
            b"L\x01k",
            b"L\x00kX",
            b"L\x41" + b"k" * 65 + b"X",
            b"H\x1f" + bytes(32),
            b"X\x01kX",
            b"L\x01\nX",
        ],
    ),
    0x0120: (sized(32), sized(0, 31, 33)),
    0x0121: ([b"0", b"0" * 5000], [b""]),
    0x0122: ([b"", b"anything", bytes(3000)], []),
    0x0130: (sized(12), sized(0, 11, 13)),
    0x0170: (
        [SENSE, b"\xf0" + bytes(17), b"\x71" + bytes(251)],
        [b"", SENSE[:17], b"\x72" + bytes(17), b"p" + bytes(252)],
    ),
    0x0171: ([SENSE], [SENSE[:17], b"\x73" + bytes(17)]),
    0x0180: ([b"x", "é".encode() * 100], [*TEXT_BAD, b"x" * 201]),
    0x0181: (sized(6), sized(5, 7)),
    0x0190: (
        [b"\0\4\0\0", b"\0\4\0\x40" + bytes(64), b"\xff\xff\x02\x00" + bytes(512)],
        [b"", b"\0\4\0", b"\0\4\0\x40" + bytes(63), b"\0\4\0\x40" + bytes(65), b"\0\2\x02\x01" + bytes(513)],
    ),
    0x0191: (sized(32), sized(0, 31, 33)),
    0x2010: (
        [set_page(WRAPPED), set_page(WRAPPED, byte5=0), set_page(WRAPPED, modes=b"\0\2")],
        [
            set_page(WRAPPED, byte5=2),
            set_page(WRAPPED, key_format=1),
            set_page(WRAPPED, dki=DKI[:11]),
            set_page(WRAPPED[:-1]),
            set_page(WRAPPED[:-2] + b"\0\1"),
            set_page(WRAPPED + b"\0"),
            set_page(b"\0\0\0\xff" + WRAPPED[4:]),
            set_page(WRAPPED)[:-1],
            set_page(WRAPPED) + b"\0",
            set_page(WRAPPED).replace(b"\0\x10", b"\0\x11", 1),
            b"",
        ],
    ),
    0x2021: (
        [status_page(3), status_page(5, None), status_page(6, b"x"), status_page(6, more=b"\0\1\0\1u")],
        [
            status_page(6, b""),
            status_page(6, bytes(13)),
            status_page(6, more=b"\1\1\0\1x"),
            status_page(6, more=b"\0\1\0\2u"),
            status_page(6, more=b"\0\1\0"),
            status_page(6)[:-1],
            status_page(6) + b"\0",
            b"\0\x20" + status_page(6)[2:],
            b"",
        ],
    ),
    0x2030: ([GOOD[0x2030]], [GOOD[0x2030][:-1], GOOD[0x2030] + b"\0", b"\0\x31" + GOOD[0x2030][2:]]),
}


def test_every_tlv_has_a_row_and_a_rule() -> None:
    assert set(ROWS) == set(Tag) == set(RULES) == set(GOOD)


def frame_with(tag: int, value: bytes) -> bytes:
    """Return a frame of a message that lists the TLV, with this value of it."""
    return raw(carrier(tag), [(tag, value)])


@pytest.mark.parametrize(
    ("tag", "value"), [(tag, value) for tag, (good, _) in ROWS.items() for value in good]
)
def test_a_value_within_its_rule_parses(tag: int, value: bytes) -> None:
    assert parse(frame_with(tag, value)).tlvs == ((tag, value),)


@pytest.mark.parametrize(("tag", "value"), [(tag, value) for tag, (_, bad) in ROWS.items() for value in bad])
def test_a_value_outside_its_rule_is_ee23_and_named(tag: int, value: bytes) -> None:
    with pytest.raises(Fault) as caught:
        parse(frame_with(tag, value))
    assert caught.value.code is Code.EE23
    assert caught.value.offending == (tag, 24)
    assert f"{tag:04X}" in caught.value.text


@pytest.mark.parametrize("kind", sorted(LISTS))
@pytest.mark.parametrize("tag", sorted(GOOD))
def test_a_known_tlv_is_taken_exactly_where_its_message_lists_it(kind: int, tag: int) -> None:
    data = raw(kind, [(tag, GOOD[tag])])
    if tag in LISTS[kind][0] + LISTS[kind][1]:
        assert parse(data).get(tag) == GOOD[tag]
        return
    with pytest.raises(Fault, match="not allowed in this message") as caught:
        parse(data)
    assert caught.value.code is Code.EE23


@pytest.mark.parametrize("tag", sorted(GOOD))
def test_a_tlv_occurs_as_often_as_it_may_and_no_more(tag: int) -> None:
    most = MOST.get(tag, 1)
    kind = carrier(tag)
    assert len(parse(raw(kind, [(tag, GOOD[tag])] * most)).all(tag)) == most
    with pytest.raises(Fault, match=r"twice|more than") as caught:
        parse(raw(kind, [(tag, GOOD[tag])] * (most + 1)))
    assert caught.value.offending == (tag, 24 + most * (4 + len(GOOD[tag])))


@pytest.mark.parametrize("kind", sorted(LISTS))
def test_every_pair_of_tlvs_has_one_order(kind: int) -> None:
    tags = sorted((*LISTS[kind][0], *LISTS[kind][1], 0x8000, 0xFFFF), key=place)
    for first in range(len(tags)):
        for second in range(first + 1, len(tags)):
            pair = [(tag, GOOD.get(tag, b"")) for tag in (tags[first], tags[second])]
            assert parse(raw(kind, pair)).tlvs == tuple(pair)
            with pytest.raises(Fault, match="out of order"):
                parse(raw(kind, pair[::-1]))


@pytest.mark.parametrize("tag", [0x0000, 0x0100, 0x010B, 0x0192, 0x2031, 0x7FFF])
@pytest.mark.parametrize("kind", [*LISTS, 0x00, 0x81])
def test_an_unknown_tlv_below_8000_is_refused_in_every_message(kind: int, tag: int) -> None:
    with pytest.raises(Fault, match="unknown"):
        parse(raw(kind, [(tag, b"")]))


@pytest.mark.parametrize("kind", [*LISTS, 0x00, 0x81])
def test_tlvs_from_8000_on_are_kept_in_every_message_once_each(kind: int) -> None:
    tlvs = ((0x8000, b""), (0xC123, b"\0" * 9), (0xFFFF, b"x"))
    assert parse(raw(kind, list(tlvs))).tlvs == tlvs
    with pytest.raises(Fault, match="twice"):
        parse(raw(kind, [(0x8000, b""), (0x8000, b"")]))
