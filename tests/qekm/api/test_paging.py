"""Page sizes, page tokens and the fields that many messages share."""

from __future__ import annotations

import base64

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from qekm.api.fields import chosen, paths_of, sized, stamp, time_of
from qekm.api.paging import Paged, _check, cut
from qekm.errors import BadArgument, BadPageToken
from qekm.model import KeyState
from qekm.v1.drives_pb2 import ListDrivesRequest
from qekm.v1.keystore_pb2 import ListKeysRequest


def token_after(request: ListKeysRequest, cursor: str) -> str:
    """Return the token that follows a full page whose last row is `cursor`."""
    _, token = cut(Paged(request, 1, ""), [cursor, "next"], str)
    return token


def test_a_page_has_100_rows_unless_told_and_never_more_than_1000() -> None:
    assert Paged.of(ListKeysRequest()).size == 100
    assert Paged.of(ListKeysRequest(page_size=7)).size == 7
    assert Paged.of(ListKeysRequest(page_size=4_000_000_000)).size == 1_000


def test_the_row_beyond_the_page_is_cut_off_and_makes_the_token() -> None:
    request = ListKeysRequest(page_size=2)
    rows, token = cut(Paged.of(request), ["a", "b", "c"], str)
    assert rows == ["a", "b"]
    assert Paged.of(ListKeysRequest(page_size=9, page_token=token)).text == "b"
    assert cut(Paged.of(request), ["a", "b"], str) == (["a", "b"], "")


@given(cursor=st.text(min_size=1, max_size=64), size=st.integers(0, 2**32 - 1))
def test_a_token_brings_its_cursor_back_whatever_the_page_size(cursor: str, size: int) -> None:
    token = token_after(ListKeysRequest(group="a"), cursor)
    assert Paged.of(ListKeysRequest(group="a", page_size=size, page_token=token)).text == cursor


def test_a_numbered_list_starts_at_zero_and_goes_on_after_the_token() -> None:
    assert Paged.of(ListKeysRequest()).number == 0
    assert Paged.of(ListKeysRequest(page_token=token_after(ListKeysRequest(), "17"))).number == 17


@pytest.mark.parametrize("cursor", ["abc", "-5", "1.5", "1_0", " 7", "٣", "9" * 19, "9" * 5_000])
def test_a_made_up_number_in_a_token_is_refused(cursor: str) -> None:
    page = Paged.of(ListKeysRequest(page_token=token_after(ListKeysRequest(), cursor)))
    with pytest.raises(BadPageToken):
        _ = page.number


def test_a_token_whose_cursor_is_no_text_is_refused() -> None:
    raw = b"\xff\xfe"  # its check is no secret
    token = base64.urlsafe_b64encode(_check(ListKeysRequest(), raw) + raw).decode().rstrip("=")
    with pytest.raises(BadPageToken):
        Paged.of(ListKeysRequest(page_token=token))


def test_a_token_of_other_filters_or_of_another_list_is_refused() -> None:
    token = token_after(ListKeysRequest(group="a"), "x")
    for other in (ListKeysRequest(group="b", page_token=token), ListDrivesRequest(page_token=token)):
        with pytest.raises(BadPageToken):
            Paged.of(other)


@given(token=st.text(min_size=1, max_size=40))
def test_no_made_up_token_is_taken(token: str) -> None:
    with pytest.raises(BadPageToken):
        Paged.of(ListKeysRequest(page_token=token))


def test_a_mask_with_a_path_that_cannot_be_changed_is_refused_by_name() -> None:
    assert paths_of(FieldMask(paths=["a", "b"]), ("a", "b", "c")) == {"a", "b"}
    with pytest.raises(BadArgument, match="'state'") as caught:
        paths_of(FieldMask(paths=["a", "state"]), ("a", "b"))
    assert caught.value.details["field"] == "state"


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(BadArgument, match="update_mask"):
        paths_of(FieldMask(), ("a",))


@given(st.integers(1, 4_000_000_000_000_000))
def test_times_survive_the_way_out_and_in(time_us: int) -> None:
    made = stamp(time_us)
    assert made is not None
    assert time_of(made, "since") == time_us


def test_never_is_an_absent_time_and_a_time_out_of_range_is_refused() -> None:
    assert stamp(0) is None
    for bad in (Timestamp(seconds=-1), Timestamp(seconds=2**60), Timestamp(nanos=-1), Timestamp(nanos=2**30)):
        with pytest.raises(BadArgument, match="since"):
            time_of(bad, "since")


def test_an_unknown_number_of_an_enum_is_refused_and_nothing_told_is_the_default() -> None:
    assert chosen(KeyState, 2, "state") is KeyState.READY
    assert chosen(KeyState, 0, "state", KeyState.ACTIVE) is KeyState.ACTIVE
    for bad in (0, 99):
        with pytest.raises(BadArgument, match="READY"):
            chosen(KeyState, bad, "state")


def test_bytes_of_another_length_are_refused() -> None:
    assert sized(b"12345678", (8,), "wwnn") == b"12345678"
    with pytest.raises(BadArgument, match="wwnn has 3 bytes instead of 8"):
        sized(b"123", (8,), "wwnn")
