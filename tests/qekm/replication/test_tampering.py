"""What anybody has altered, left out, sent again or made up is refused, and refused only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import BatchRefused, PeerRefused
from qekm.model import Cursor
from qekm.replication import conversation
from qekm.replication.conversation import Conversation
from qekm.replication.messages import Batch, Hello, RecordKey, Row
from qekm.sealing import KeyRing
from qekm.secret import Secret
from tests.qekm.replication.ends import TABLES, begun, line, lines, own, pair, taken


@pytest.mark.parametrize("field", [each.name for each in fields(Hello)])
def test_an_altered_hello_is_refused(field: str) -> None:
    a, b = begun("a", calling=True), begun("b", calling=False)
    hello = a.hello()
    told = getattr(hello, field)
    other: Any = {str: f"{told}x", bytes: b"\1" * len(told) if isinstance(told, bytes) else b"", int: 99}
    changed = ((),) if isinstance(told, tuple) else (other[type(told)],)
    if field == "your_instance":
        changed = (b"12345678",)
    with pytest.raises(PeerRefused):
        b.greet(replace(hello, **{field: changed[0]}), "a", 100)


def test_a_hello_under_another_root_key_or_name_is_refused() -> None:
    b = begun("b", calling=False)
    stranger = Conversation(
        own("a"), KeyRing(Secret(b"x" * 32), b"estate"), bytes(32), Cursor("", b"", 0), calling=True
    )
    with pytest.raises(PeerRefused, match="root key"):
        b.greet(stranger.hello(), "a", 100)
    with pytest.raises(PeerRefused, match="says that it is"):
        b.greet(begun("a", calling=True).hello(), "c", 100)


def test_a_hello_that_is_our_own_comes_back_in_vain() -> None:
    a = begun("a", calling=True)
    with pytest.raises(PeerRefused):
        a.greet(a.hello(), "a", 100)


@given(
    st.builds(Hello, *[st.text(), st.binary(), st.integers(), st.binary(), st.text(), st.text()], st.just(()))
)
def test_any_hello_is_refused_and_nothing_else(hello: Hello) -> None:
    with pytest.raises(PeerRefused):
        begun("b", calling=False).greet(hello, hello.name, 100)


# Batches.


def altered(batch: Batch) -> Iterator[tuple[str, Batch]]:
    """Yield a batch with each of its fields altered, one at a time."""
    row = batch.rows[0]
    yield "after", replace(batch, after=batch.after + 1)
    yield "through", replace(batch, through=batch.through + 1)
    yield "number", replace(batch, number=batch.number + 1)
    yield "rows left out", replace(batch, rows=batch.rows[1:])
    yield "rows swapped", replace(batch, rows=batch.rows[::-1])
    yield "record keys", replace(batch, record_keys=(RecordKey(2, b"x"),))
    yield "mac", replace(batch, mac=bytes(32))
    yield "no mac", replace(batch, mac=b"")
    for name, value in [
        ("sequence", row.sequence + 1),
        ("table", 1 - row.table),
        ("values", (*row.values[:-1], 99)),
        ("stamp_us", row.stamp_us + 1),
        ("origin", b"z" * 8),
        ("removed", not row.removed),
    ]:
        yield name, replace(batch, rows=(replace(row, **{name: value}), *batch.rows[1:]))  # type: ignore[arg-type]


NAMES = [name for name, _ in altered(Batch(0, 1, 1, (Row(1, 0, ("g", 1), 1, b"a" * 8),)))]


@pytest.mark.parametrize("what", NAMES)
def test_a_batch_that_was_altered_is_refused_and_the_true_one_still_taken(what: str) -> None:
    a, b = pair()
    batch = a.batch(lines(1, 2))
    with pytest.raises(BatchRefused):
        taken(b, dict(altered(batch))[what])
    assert len(taken(b, batch)) == 2


def test_control_without_the_mac_altered_rows_would_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "_mac", lambda key, batch: batch.mac)
    for what in ("values", "stamp_us", "origin"):
        a, b = pair()
        assert taken(b, dict(altered(a.batch(lines(1, 2))))[what])


def test_a_replayed_batch_is_refused() -> None:
    a, b = pair()
    first = a.batch(lines(1, 2))
    taken(b, first)
    with pytest.raises(BatchRefused):
        taken(b, first)


def test_a_batch_left_out_is_noticed() -> None:
    a, b = pair()
    a.batch(lines(1, 2))
    with pytest.raises(BatchRefused):
        taken(b, a.batch(lines(3, 4)))


def test_a_batch_of_another_stream_is_refused() -> None:
    a, _ = pair()
    _, b = begun("a", calling=True, nonce=b"n" * 32), begun("b", calling=False)
    other = begun("a", calling=True, nonce=b"n" * 32)
    b.greet(other.hello(), "a", 100)
    with pytest.raises(BatchRefused):
        taken(b, a.batch(lines(1, 2)))


def test_a_batch_that_is_sent_back_is_refused() -> None:
    a, _ = pair()
    batch = a.batch(lines(1, 2))
    with pytest.raises(BatchRefused):
        taken(a, batch)


def test_before_the_hello_nothing_is_taken() -> None:
    a, _ = pair()
    with pytest.raises(BatchRefused):
        taken(begun("b", calling=False), a.batch(lines(1, 2)))


def signed(by: Conversation, batch: Batch) -> Batch:
    """Return a batch as a peer would sign it that has the root key and keeps to no rule."""
    return replace(batch, mac=conversation._mac(by._send_key, batch))


WILD: list[Callable[[Batch], Batch]] = [
    lambda batch: replace(batch, rows=(replace(batch.rows[0], table=7),)),
    lambda batch: replace(batch, rows=(replace(batch.rows[0], values=()),)),
    lambda batch: replace(batch, rows=(replace(batch.rows[0], values=(None, 1)),)),
    lambda batch: replace(batch, rows=(replace(batch.rows[0], values=("a", 1, 2)),)),
    lambda batch: replace(batch, rows=(replace(batch.rows[0], removed=True),)),
    lambda batch: replace(batch, rows=(replace(batch.rows[0], sequence=0),)),
    lambda batch: replace(batch, rows=(replace(batch.rows[0], sequence=9),)),
    lambda batch: replace(batch, rows=(replace(batch.rows[0], origin=b"short"),)),
    lambda batch: replace(batch, rows=batch.rows * 300),
    lambda batch: replace(batch, after=1),
    lambda batch: replace(batch, through=-1),
    lambda batch: replace(batch, number=2),
    lambda batch: replace(batch, rows=(replace(batch.rows[0], table=2, values=("audit", b"", b"")),)),
]


@pytest.mark.parametrize("wild", WILD)
def test_a_peer_that_keeps_to_no_rule_is_refused_as_well(wild: Callable[[Batch], Batch]) -> None:
    vaults = (*TABLES, ("vaults", ("name", "sealed", "certificate")))
    a, b = begun("a", calling=True, tables=vaults), begun("b", calling=False, tables=vaults)
    b.greet(a.hello(), "a", 100)
    a.greet(b.hello(), "b", 100)
    with pytest.raises(BatchRefused):
        taken(b, signed(a, wild(a.batch([line(1)]))))


VALUES = st.one_of(st.none(), st.integers(), st.text(), st.binary())
ROWS = st.builds(
    Row, st.integers(), st.integers(), st.tuples(VALUES, VALUES), st.integers(), st.binary(), st.booleans()
)


@given(
    st.builds(Batch, st.integers(), st.integers(), st.integers(), st.tuples(ROWS), st.just(()), st.binary())
)
def test_any_batch_is_refused_and_nothing_else(batch: Batch) -> None:
    _, b = pair()
    with pytest.raises(BatchRefused):
        taken(b, batch)
