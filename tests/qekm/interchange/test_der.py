"""DER: one way to write a thing, and only that one is read."""

from __future__ import annotations

import pytest
from asn1crypto import core
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import BadFile
from qekm.interchange.der import INTEGER, OCTETS, SEQUENCE, Reader, element, integer, nest


def reader(data: bytes) -> Reader:
    return Reader(memoryview(data))


@pytest.mark.parametrize("length", [0, 1, 127, 128, 255, 256, 65_535, 65_536, 2**24 - 1, 2**24])
def test_a_length_is_written_in_its_shortest_form_and_read(length: int) -> None:
    contents = bytes(length)
    encoded = element(OCTETS, contents)
    assert encoded == core.OctetString(contents).dump()
    assert reader(encoded).last(OCTETS) == contents
    assert b"".join(nest(OCTETS, contents[:1], contents[1:])) == encoded


@given(st.integers(0, 2**80))
def test_an_integer_is_written_as_another_implementation_does_and_read(value: int) -> None:
    encoded = integer(value)
    assert encoded == core.Integer(value).dump()
    assert reader(encoded).integer(value) == value
    if value:
        with pytest.raises(BadFile):
            reader(encoded).integer(value - 1)


CUT_OFF = ["", "04", "0401", "0481", "0482ff", "04ff", "0403aabb", "0484ffffffff00"]
NOT_DER = ["0480", "048101ff", "04820001ff", "04810000", "0485000000000100"]
OTHER_TAG = ["050100", "240101", "1f04010100"]


@pytest.mark.parametrize("encoded", [*CUT_OFF, *NOT_DER, *OTHER_TAG])
def test_what_is_cut_off_or_of_another_form_or_tag_is_refused(encoded: str) -> None:
    with pytest.raises(BadFile):
        reader(bytes.fromhex(encoded)).take(OCTETS)


@pytest.mark.parametrize(
    "encoded", ["0200", "020180", "02020001", "0201ff", "0401" + "00", "0209020000000000000000"]
)
def test_an_integer_that_is_empty_negative_or_padded_is_refused(encoded: str) -> None:
    with pytest.raises(BadFile):
        reader(bytes.fromhex(encoded)).integer(2**64)


def test_elements_are_taken_in_order_and_nothing_may_be_left() -> None:
    read = reader(element(SEQUENCE, integer(5), element(OCTETS, b"abc"))).only(SEQUENCE)
    assert read.next_is(INTEGER)
    assert read.whole(INTEGER) == integer(5)
    with pytest.raises(BadFile):
        read.end()
    with pytest.raises(BadFile):
        read.octets(4)
    read = reader(element(OCTETS, b"abc"))
    assert read.octets(3) == b"abc"
    assert not read.next_is(OCTETS)
    read.end()
    with pytest.raises(BadFile):
        reader(element(OCTETS) * 2).last(OCTETS)


def test_contents_are_views_of_the_buffer_that_its_owner_wipes() -> None:
    buffer = bytearray(element(SEQUENCE, element(OCTETS, b"key")))
    view = Reader(memoryview(buffer)).enter(SEQUENCE).take(OCTETS)
    buffer[:] = bytes(len(buffer))
    assert view == b"\0\0\0"


@given(st.binary(max_size=40))
def test_any_bytes_are_one_element_or_refused(data: bytes) -> None:
    try:
        contents = reader(data).last(data[0] if data else OCTETS)
    except BadFile:
        return
    assert element(data[0], contents) == data
