"""A parcel has one encoding, and whatever else a trusted sender may have signed is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import BadFile
from qekm.interchange.der import OCTETS, SEQUENCE, UTF8, element, integer
from qekm.interchange.parcel import MAX_KEYS, Parcel, SharedKey, parse, serialize
from qekm.secret import Secret
from tests.qekm.interchange.organisation import ESTATE, NOW_US, make_keys, told

FINGERPRINT = b"f" * 32
ALIAS, DKI, MATERIAL = "QKM000000000000000001", b"QKM\0\0\0\0\0\0\0\0\1", bytes(range(32))


def key(**other: bytes) -> bytes:
    """Return an encoded key, with other fields or another field after all."""
    fields = {
        "dki": element(OCTETS, DKI),
        "alias": element(UTF8, ALIAS.encode()),
        "material": element(OCTETS, MATERIAL),
        "group": element(UTF8, b"g"),
        "created": integer(7),
    }
    return element(SEQUENCE, *(fields | other).values())


def parcel(*keys: bytes, **other: bytes) -> bytes:
    """Return an encoded parcel, with other fields or another field after all."""
    fields = {
        "kind": element(UTF8, b"QEKM KEYS"),
        "version": integer(1),
        "estate": element(OCTETS, ESTATE),
        "recipient": element(OCTETS, FINGERPRINT),
        "exported": integer(NOW_US),
        "keys": element(SEQUENCE, *keys),
    }
    return element(SEQUENCE, *(fields | other).values())


def read(data: bytes) -> Parcel:
    return parse(memoryview(data))


def test_the_encoding_is_the_one_that_is_written_down() -> None:
    keys = (SharedKey(ALIAS, Secret(MATERIAL), "g", 7),)
    assert serialize(Parcel(ESTATE, FINGERPRINT, NOW_US, keys)) == parcel(key())
    found = read(parcel(key()))
    assert (found.estate, found.recipient, found.export_time_us) == (ESTATE, FINGERPRINT, NOW_US)
    assert told(found.keys) == [(ALIAS, MATERIAL, "g", 7)]


def test_an_empty_parcel_and_an_alias_in_small_letters_are_read() -> None:
    assert read(parcel()).keys == ()
    small = key(
        alias=element(UTF8, b"abc00000000000000000a"), dki=element(OCTETS, b"abc" + bytes(8) + b"\x0a")
    )
    assert read(parcel(small)).keys[0].alias == "abc00000000000000000a"


def test_a_newer_version_is_named_and_says_what_to_do() -> None:
    with pytest.raises(BadFile, match="version 2") as refused:
        read(parcel(version=integer(2)))
    assert "update" in refused.value.advice


LATER = key(alias=element(UTF8, b"QKM000000000000000002"), dki=element(OCTETS, DKI[:-1] + b"\2"))
WRONG = {
    "another kind": parcel(kind=element(UTF8, b"QEKM KEY")),
    "version 0": parcel(version=integer(0)),
    "a long estate": parcel(estate=element(OCTETS, ESTATE + b"x")),
    "a short fingerprint": parcel(recipient=element(OCTETS, FINGERPRINT[1:])),
    "a time of 64 bits": parcel(exported=integer(2**63)),
    "a field too many": parcel(more=integer(1)),
    "no sequence": element(OCTETS, parcel()),
    "two": parcel() * 2,
    "no key": parcel(element(OCTETS, b"")),
    "after the keys": parcel(key(), integer(1)),
    "a key's field too many": parcel(key(more=integer(1))),
    "a long dki": parcel(key(dki=element(OCTETS, DKI + b"x"))),
    "another dki": parcel(key(dki=element(OCTETS, DKI[:-1] + b"\2"))),
    "no alias": parcel(key(alias=element(UTF8, b"QKM"))),
    "an alias that is no text": parcel(key(alias=element(UTF8, b"\xff\xfe\xff\xfe"))),
    "a key of 16 bytes": parcel(key(material=element(OCTETS, bytes(16)))),
    "no group": parcel(key(group=element(UTF8))),
    "a group that is no text": parcel(key(group=element(UTF8, b"\x80"))),
    "a key's time of 64 bits": parcel(key(created=integer(2**63))),
    "twice the same": parcel(key(), key()),
    "out of order": parcel(LATER, key()),
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG.keys())
def test_anything_else_is_refused(data: bytes) -> None:
    assert len(read(parcel(key(), LATER)).keys) == 2
    with pytest.raises(BadFile):
        read(data)


def test_more_keys_than_may_be_written_are_not_read() -> None:
    head, middle, tail = key().replace(b"QKM" + DKI[3:], b"|").replace(ALIAS.encode(), b"|").split(b"|")
    keys = [
        b"%bQKM%b%bQKM%018X%b" % (head, number.to_bytes(9, "big"), middle, number, tail)
        for number in range(MAX_KEYS + 1)
    ]
    with pytest.raises(BadFile, match="more than 100000"):
        read(parcel(*keys))


def test_a_parcel_cut_off_anywhere_is_refused() -> None:
    data = bytes(serialize(Parcel(ESTATE, FINGERPRINT, NOW_US, tuple(make_keys(2)))))
    for length in range(len(data)):
        with pytest.raises(BadFile):
            read(data[:length])


@given(st.integers(0, 2**20), st.binary(max_size=6))
def test_what_is_read_is_written_the_same(at: int, piece: bytes) -> None:
    data = bytearray(parcel(key(), LATER))
    at %= len(data)
    data[at : at + len(piece)] = piece
    try:
        found = read(bytes(data))
    except BadFile:
        return
    assert serialize(found) == data
