"""A welcome as a message: whole, in parts, and of whatever a stranger may send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import PeerRefused
from qekm.rpc.channel import MAXIMUM_MESSAGE
from qekm.rpc.welcomes import of_proto, parts_of, to_proto
from qekm.store import Line
from qekm.v1 import peers_pb2 as pb
from qekm.welcome import Welcome


def welcome(count: int) -> Welcome:
    """Return a welcome of so many drives."""
    lines = [
        Line(
            number,
            "drives",
            f"{number:012}",
            7,
            b"instance",
            False,
            (f"{number:012}", 1, b"\1", None, "x" * 200),
        )
        for number in range(1, count + 1)
    ]
    columns = {"vaults": ("name",), "drives": ("serial", "state", "wwnn", "alias", "label")}
    return Welcome(
        b"certificate",
        b"trust",
        bytes(16),
        bytes(32),
        b"wrapped",
        columns,
        tuple(lines),
        (1, 2),
        {"debug": "x"},
    )


@pytest.mark.parametrize("count", [0, 1, 1_000, 2_001])
def test_the_parts_make_the_whole(count: int) -> None:
    whole, merged = to_proto(welcome(count)), pb.Welcome()
    for part in parts_of(whole):
        merged.MergeFrom(part)
    assert merged == whole
    assert merged.row_count == count
    assert of_proto(merged) == welcome(count)


def test_each_part_of_a_large_estate_can_be_sent() -> None:
    parts = list(parts_of(to_proto(welcome(30_000))))
    assert len(parts) == 30
    assert max(part.ByteSize() for part in parts) < MAXIMUM_MESSAGE / 4


@pytest.mark.parametrize(
    "row", [pb.Row(table=9, values=[pb.Value(text="a")]), pb.Row(), pb.Row(values=[pb.Value()])]
)
def test_a_row_of_no_table_or_without_a_key_is_refused(row: pb.Row) -> None:
    with pytest.raises(PeerRefused):
        of_proto(pb.Welcome(rows=[row], tables=[pb.TableColumns(table="drives")]))


@given(st.binary(max_size=200))
def test_junk_is_refused_or_means_something(junk: bytes) -> None:
    message = pb.Welcome()
    try:
        message.MergeFromString(junk)
    except Exception:
        return
    try:
        of_proto(message)
    except PeerRefused:
        return
