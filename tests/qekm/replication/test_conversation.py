"""What a server takes from another one: what it said, once, in order, and nothing that anybody altered."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qekm.errors import BatchRefused, PeerRefused
from qekm.model import Cursor
from qekm.replication import conversation
from qekm.replication.conversation import PAGE_ROWS, WINDOW, Conversation
from qekm.replication.messages import Acknowledgement, RecordKey, Refusal, Tables
from tests.qekm.replication.ends import ROOT, TABLES, begun, line, lines, own, pair, ring, taken


def test_rows_arrive_as_they_were_sent() -> None:
    a, b = pair()
    sent = lines(1, 3)
    assert taken(b, a.batch(sent)) == sent
    more = [line(4, removed=True, values=("g4",)), line(7)]
    assert taken(b, a.batch(more)) == more
    assert (a.position, b.received) == (7, 7)


def test_a_stream_goes_on_behind_what_the_other_has() -> None:
    a, b = pair(received=5)
    assert (a.position, a.acknowledged, b.received) == (5, 5, 5)
    assert [each.sequence for each in taken(b, a.batch(lines(6, 8)))] == [6, 7, 8]


def test_what_was_received_of_another_life_counts_for_nothing() -> None:
    a = begun("a", calling=True)
    b = begun("b", calling=False, received=5, of="x")
    b.greet(a.hello(), "a", 100)
    a.greet(b.hello(), "b", 100)
    assert (a.position, b.received) == (0, 0)


def test_who_has_more_of_a_journal_than_there_is_has_met_an_old_copy() -> None:
    a, b = begun("a", calling=True), begun("b", calling=False, received=5, of="a")
    with pytest.raises(PeerRefused, match="old copy"):
        a.greet(b.hello(), "b", 4)


def test_rows_that_came_from_the_peer_are_not_sent_back_unless_from_the_start() -> None:
    a, _ = pair(received=5)
    batch = a.batch([line(6, b"b" * 8), line(7), line(8, b"c" * 8)])
    assert [row.sequence for row in batch.rows] == [7, 8]
    assert (batch.after, batch.through) == (5, 8)
    a, _ = pair(end=7)
    batch = a.batch([line(6, b"b" * 8), line(7, b"b" * 8), line(8, b"b" * 8)])
    assert [row.sequence for row in batch.rows] == [6, 7]


def test_a_window_of_batches_is_under_way_at_most() -> None:
    a, _ = pair()
    for number in range(1, WINDOW + 1):
        assert a.may_send
        a.batch([line(number)])
    assert not a.may_send
    a.acknowledge(Acknowledgement(2))
    assert (a.acknowledged, a.may_send) == (2, True)
    with pytest.raises(BatchRefused):
        a.acknowledge(Acknowledgement(1))
    with pytest.raises(BatchRefused):
        a.acknowledge(Acknowledgement(99))


def test_a_batch_has_a_bounded_size() -> None:
    a, _ = pair()
    heavy = [line(number, values=("x" * 200_000, number)) for number in range(1, 6)]
    batch = a.batch(heavy)
    assert (len(batch.rows), batch.through, a.position) == (2, 2, 2)
    a, _ = pair()
    assert len(a.batch([line(1, values=("x" * 2_000_000, 1)), line(2)]).rows) == 1  # a row has to go


# Two releases.


def test_columns_that_one_side_lacks_are_left_out_or_kept() -> None:
    newer: Tables = (("drives", ("serial", "shape", "colour", "note")), ("owners", ("name",)), *TABLES[:1])
    a, b = pair(theirs=newer)
    old = line(1, table="drives", key="s", values=("s", "hello", "red"))
    assert taken(b, a.batch([old]))[0].values == ("s", "no shape", "red", "hello")
    a, b = pair(theirs=newer)
    batch = a.batch([old])
    b.verify(batch)
    assert b.columns is not None
    assert b.columns.lacking(batch.rows) == {"drives": ["s"]}
    present = {("drives", "s"): ("s", "round", "blue", "before")}
    assert b.take(batch, present)[0].values == ("s", "round", "red", "hello")

    new = [
        line(1, table="owners", key="o", values=("o",)),
        line(2, table="drives", key="s", values=("s", "round", "red", "hello")),
    ]
    assert [each.values for each in taken(a, b.batch(new))] == [("s", "hello", "red")]
    assert a.received == 2


@pytest.mark.parametrize(
    "tables",
    [
        (("groups", ("name", "name")),),
        (("groups", ("name",)), ("groups", ("name",))),
        (("groups", ()),),
        (("groups", ("size", "name")),),
        tuple((f"t{number}", ("key",)) for number in range(300)),
        (("groups", tuple(f"c{number}" for number in range(300))),),
    ],
)
def test_tables_that_cannot_be_are_refused(tables: Tables) -> None:
    with pytest.raises((PeerRefused, BatchRefused)):
        begun("a", calling=True).greet(begun("b", calling=False, tables=tables).hello(), "b", 100)


# Record keys.


def test_a_version_of_the_record_key_arrives_before_the_rows_that_need_it() -> None:
    ring_a, ring_b = ring(), ring()
    a = Conversation(own("a"), ring_a, b"a" * 32, Cursor("b", b"", 0), calling=True)
    b = Conversation(own("b"), ring_b, b"b" * 32, Cursor("a", b"", 0), calling=False)
    ring_a.rotate(ROOT)
    b.greet(a.hello(), "a", 100)
    a.greet(b.hello(), "b", 100)
    assert (b.adopt(a.hello().record_keys), ring_b.version) == ([], 1)  # as the stream began
    batch = a.batch(lines(1, 1))
    b.verify(batch)
    assert (b.adopt(batch.record_keys), ring_b.version) == ([2], 2)
    assert not a.batch(lines(2, 2)).record_keys
    with pytest.raises(BatchRefused):
        b.adopt([RecordKey(3, batch.record_keys[0].sealed)])
    with pytest.raises(BatchRefused):
        b.adopt([RecordKey(0, b"")])


def test_pages_fit_into_batches() -> None:
    assert PAGE_ROWS <= conversation.MOST_ROWS


def disowning(b: Conversation) -> Refusal:
    """Return what a server says to one that comes with an old epoch."""
    return b.refusal(PeerRefused("server a is an old copy", peer="a", epoch="7"))


def test_only_who_proves_the_root_key_in_this_stream_says_that_a_server_is_an_old_copy() -> None:
    a, b = begun("a", calling=True), begun("b", calling=False)
    b.greet(a.hello(), "a", 100)
    told = disowning(b)
    assert (told.epoch, a.is_disowned(told)) == (7, True), "before b has said hello"
    for forged in (
        *(replace(told, epoch=8), replace(told, message="other"), replace(told, mac=b"")),
        *(replace(told, epoch=0), b.refusal(PeerRefused("any", peer="a"))),
    ):
        assert not a.is_disowned(forged)
    assert not a.is_disowned(b.refusal(PeerRefused("any", peer="a", epoch=str(1 << 62)))), "no such epoch"
    later = begun("a", calling=True, nonce=b"n" * 32)
    assert not later.is_disowned(told), "of another stream"
    assert disowning(begun("b", calling=False)).mac == b"", "nobody is disowned who proved nothing"
