"""The MACs of rows: HMAC-SHA256 as the standard library has it, of values that are told apart."""

from __future__ import annotations

import hashlib
import hmac
from struct import pack

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.sql import quoted_name

from qekm.model import KeyState
from qekm.sealing.seals import MAC_LENGTH, Seals, Value, encoded

VALUES = st.lists(
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=40), st.binary(max_size=200)),
    max_size=20,
)


def derive(purpose: bytes) -> bytes:
    """Return a key of its own for every purpose."""
    return hashlib.sha256(purpose).digest()


def spelled(values: list[Value]) -> bytes:
    """Encode as the description says, without any thought of speed."""
    parts = []
    for value in values:
        if value is None:
            parts.append(b"n")
        elif isinstance(value, int):
            parts.append(pack(">cq", b"i", value))
        else:
            kind, content = (b"b", value) if isinstance(value, bytes) else (b"t", value.encode())
            parts.append(pack(">cI", kind, len(content)) + content)
    return b"".join(parts)


@given(VALUES)
def test_rows_are_encoded_as_described(values: list[Value]) -> None:
    assert encoded(values) == spelled(values)


@given(VALUES, VALUES)
def test_other_values_are_other_bytes(one: list[Value], other: list[Value]) -> None:
    assert (encoded(one) == encoded(other)) is (one == other)


def test_instances_of_subclasses_are_what_they_stand_for() -> None:
    assert encoded([KeyState.ACTIVE, quoted_name("keys", False), True]) == encoded([4, "keys", 1])


@given(VALUES, st.binary(min_size=MAC_LENGTH, max_size=MAC_LENGTH))
def test_macs_are_those_of_the_standard_library(values: list[Value], mac: bytes) -> None:
    seals = Seals(derive)
    row = hmac.digest(derive(b"ROW"), encoded(["keys", *values]), "sha256")[:MAC_LENGTH]
    assert seals.row("keys", values) == row
    assert seals.element(mac) == int.from_bytes(hmac.digest(derive(b"ELEMENT"), mac, "sha256"))
