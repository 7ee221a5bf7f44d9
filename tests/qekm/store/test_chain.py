"""The chain's bytes, apart from any database."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from qekm.model import AuditRecord, Outcome
from qekm.store import GENESIS, canonical, head_message, link

RECORD = AuditRecord(
    1_700_000_000_000_000,
    "drive.refuse",
    Outcome.FAILURE,
    "192.0.2.7",
    "001300000392",
    bytes.fromhex("500308c09e4a1001"),
    "E01001L4",
    "",
    "EE2B",
    "zertifikat ungültig",
    3,
)
BYTES = bytes.fromhex(
    "0000000000000009"  # sequence
    "00060a24181e4000"  # time_us
    "03"  # outcome
    "00000003"  # count
    "0000000c" + b"drive.refuse".hex() + "00000009" + b"192.0.2.7".hex() + "0000000c" + b"001300000392".hex()
    + "00000008" "500308c09e4a1001" "00000008" + b"E01001L4".hex() + "00000000" "00000004" + b"EE2B".hex()
    + "00000014" + "zertifikat ungültig".encode().hex()
)  # fmt: skip

texts = st.text(st.characters(codec="utf-8"), max_size=4)
records = st.builds(
    AuditRecord,
    st.integers(0, 2**62),
    texts,
    st.sampled_from(Outcome),
    texts,
    texts,
    st.binary(max_size=8),
    texts,
    texts,
    texts,
    texts,
    st.integers(1, 2**32 - 1),
)


def test_a_records_bytes_are_those_that_were_written_down() -> None:
    assert canonical(9, RECORD) == BYTES


def test_a_link_hangs_on_the_one_before() -> None:
    assert link(GENESIS, 9, RECORD) == hashlib.sha256(bytes(32) + BYTES).digest()
    assert link(b"\1" * 32, 9, RECORD) != link(GENESIS, 9, RECORD)


def test_a_signature_covers_the_place_and_the_hash() -> None:
    assert head_message(258, b"h" * 32) == b"QEKM AUDIT 1" + b"\0\0\0\0\0\0\1\2" + b"h" * 32


@given(st.integers(1, 2**62), records, st.integers(1, 2**62), records)
def test_two_records_have_the_same_bytes_only_if_they_are_the_same(
    place: int, one: AuditRecord, other_place: int, other: AuditRecord
) -> None:
    same = (place, one) == (other_place, other)
    assert (canonical(place, one) == canonical(other_place, other)) == same


@given(records, texts, texts)
def test_bytes_cannot_be_moved_from_a_field_to_its_neighbour(record: AuditRecord, one: str, two: str) -> None:
    moved = replace(record, volser=one + two, alias=""), replace(record, volser=one, alias=two)
    assert (canonical(1, moved[0]) == canonical(1, moved[1])) == (two == "")
