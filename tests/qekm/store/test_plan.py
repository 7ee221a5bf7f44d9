"""What a transaction will write, decided without a database."""

from __future__ import annotations

import pytest
from sqlalchemy.dialects import sqlite

from qekm.model import Cartridge, Change, Drive, DriveState, Group, Key, Removal, Setting
from qekm.store import Head, head_message
from qekm.store.ledger import Ledger, Root
from qekm.store.plan import Statements, UnplannableError, plan
from tests.qekm.store.material import DEFAULT, ESTATE, RING, make_key, make_record

STATEMENTS = Statements.compile(sqlite.dialect(paramstyle="qmark"))
DRIVE = Drive("D", DriveState.PENDING, 1)
USE = Cartridge("V", "A", "D", b"", 1)


def _ledger(head: Head = Head()) -> Ledger:  # noqa: B008  frozen
    return Ledger(RING.seals, ESTATE, Root(head=head))


def _tables(*units: list[Change]) -> list[str]:
    steps, _ = plan(units, _ledger(), None, STATEMENTS)
    assert steps.pop()[0].startswith("INSERT INTO roots")
    return [" ".join(text.split()[:3]) + f" {len(rows)}" for text, rows in steps]


def test_rows_of_a_kind_go_together_and_parents_first() -> None:
    unit: list[Change] = [make_record("r"), USE, DRIVE, make_key(1), DEFAULT]
    assert _tables(unit, unit) == [
        "INSERT INTO groups 2",
        "INSERT INTO keys 2",
        "INSERT INTO drives 2",
        "INSERT INTO cartridges 2",
        "INSERT INTO audit 2",
    ]


def test_a_removal_keeps_its_place_among_the_changes() -> None:
    assert _tables([DRIVE, Removal(Drive, "D"), DRIVE], [Removal(Group, "G")]) == [
        "INSERT INTO drives 1",
        "DELETE FROM drives 1",
        "INSERT INTO drives 1",
        "DELETE FROM groups 1",
    ]


def test_removals_that_follow_each_other_are_one_step() -> None:
    removals: list[Change] = [Removal(Drive, "D"), Removal(Drive, "E")]
    assert _tables([*removals, DRIVE, *removals], removals) == [
        "DELETE FROM drives 2",
        "INSERT INTO drives 1",
        "DELETE FROM drives 4",
    ]


def test_the_last_record_of_a_transaction_is_signed_and_no_other() -> None:
    signed: list[bytes] = []

    def sign(message: bytes) -> bytes:
        signed.append(message)
        return b"signature"

    units = [[make_record("a")], [make_record("b"), make_record("c")]]
    ((_, rows), _), draft = plan(units, _ledger(), sign, STATEMENTS)
    head = draft.root.head
    assert [row[-1] for row in rows] == [None, None, b"signature"]
    assert signed == [head_message(3, head.hash)]
    assert (head.sequence, head.hash) == (3, rows[-1][-2])


def test_without_a_record_the_head_stays_and_nothing_is_signed() -> None:
    head = Head(7, b"h" * 32)

    def sign(_: bytes) -> bytes:
        raise AssertionError

    assert plan([[Setting("a", "b")], []], _ledger(head), sign, STATEMENTS)[1].root.head == head


@pytest.mark.parametrize("bad", ["text", None, make_record("\ud800"), Removal(Key, b"k" * 16)])  # type: ignore[arg-type]
def test_what_no_row_can_take_is_said_before_anything_is_written(bad: Change) -> None:
    with pytest.raises(UnplannableError):
        plan([[bad]], _ledger(), None, STATEMENTS)
