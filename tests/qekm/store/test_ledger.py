"""The store root, kept row by row, is what a pass over all rows makes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from qekm.model import Cartridge, Entry
from qekm.store import Head
from qekm.store.ledger import Draft, Ledger, Root
from tests.qekm.store.material import ESTATE, RING

SEALS = RING.seals
ROWS = st.tuples(st.integers(0, 5), st.text(max_size=3))

Item = tuple[int, str] | int


def committed(ledger: Ledger, *writes: Item) -> Ledger:
    """Return the ledger after one transaction: a pair is a row that is written, a number one that goes."""
    draft = Draft(ledger)
    for item in writes:
        if isinstance(item, int):
            draft.remove("t", item)
        else:
            draft.write("t", item)
    draft.close(Head(), anchored=False)
    ledger.take(draft)
    return ledger


@settings(max_examples=300)
@given(st.lists(st.lists(ROWS | st.integers(0, 5), max_size=6), max_size=6))
def test_the_sum_is_that_of_the_rows_there_are_however_they_came(
    history: list[list[tuple[int, str] | int]],
) -> None:
    ledger, present = Ledger(SEALS, ESTATE), dict[int, str]()
    for transaction in history:
        committed(ledger, *transaction)
        for item in transaction:
            if isinstance(item, int):
                present.pop(item, None)
            else:
                present[item[0]] = item[1]
    afresh = committed(Ledger(SEALS, ESTATE), *present.items())
    assert (ledger.root.sum, ledger.root.rows) == (afresh.root.sum, len(present))
    assert ledger.root.sequence == len(history)


def test_a_draft_that_is_not_taken_leaves_no_trace() -> None:
    ledger = committed(Ledger(SEALS, ESTATE), (1, "a"))
    before = ledger.root, dict(ledger.rows["t"])
    draft = Draft(ledger)
    draft.write("t", (1, "b"))
    draft.remove("t", 2)
    draft.count(Cartridge("V", "A", "D", b"", 1), ("V", "A", "D", b"", 1))
    draft.note(Entry("drives", "D", 1, b"o"))
    draft.close(Head(), anchored=True)
    assert (ledger.root, ledger.rows["t"]) == before
    assert (ledger.uses, list(ledger.rows)) == ({}, ["t"])


def test_a_late_version_is_left_out_within_a_transaction_and_after_it() -> None:
    ledger = Ledger(SEALS, ESTATE)
    draft = Draft(ledger)
    assert draft.write("t", (1, 2, "new"), version=2)
    assert draft.write("t", (1, 1, "old"), version=1) is None
    draft.close(Head(), anchored=False)
    ledger.take(draft)
    assert Draft(ledger).write("t", (1, 1, "old"), version=1) is None
    assert Draft(ledger).write("t", (1, 2, "joined with another's"), version=2)
    assert Draft(ledger).write("t", (1, 3, "newer"), version=3)


def test_the_root_covers_everything_that_it_names() -> None:
    plain = Root()
    others = [
        Root(epoch=2),
        Root(sequence=1),
        Root(rows=1),
        Root(sum=1),
        Root(head=Head(1)),
        Root(head=Head(0, b"h" * 32)),
        Root(anchored=True),
    ]
    macs = {root.mac(SEALS, ESTATE) for root in (plain, *others)} | {plain.mac(SEALS, bytes(16))}
    assert len(macs) == len(others) + 2
