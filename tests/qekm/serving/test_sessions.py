"""The table of open sessions: its bounds, whose they are, and when they end."""

from __future__ import annotations

import pytest

from qekm.audit import Subject
from qekm.claim import Claim
from qekm.dkp.codes import Ask, Code, Fault
from qekm.serving import sessions
from qekm.serving.sessions import Session, Sessions

CLAIM = Claim("1", bytes(8))


def session(number: int, source: str = "a", deadline_us: int = 100, gateway: str = "g1") -> Session:
    return Session(
        number,
        gateway,
        source,
        deadline_us,
        Ask.CREATE,
        "1",
        CLAIM,
        Subject("1"),
        b"",
        None,
        False,
        bytes(32),
    )


def test_a_session_is_found_by_its_gateway_until_its_time_is_over() -> None:
    table = Sessions()
    table.add(one := session(1), 64)
    assert table.find(1, "g1", 99) is one
    assert table.find(1, "g2", 99) is None
    assert table.find(1, "g1", 100) is None
    assert table.find(2, "g1", 99) is None
    assert table.peek(1) is one


def test_a_source_has_so_many_sessions_and_no_more() -> None:
    table = Sessions()
    for number in (1, 2):
        table.add(session(number), 2)
    table.add(session(3, "b"), 2)
    table.add(session(5, gateway="g2"), 2)  # what one gateway says of sources counts for it alone
    with pytest.raises(Fault) as refused:
        table.add(session(4), 2)
    assert refused.value.code is Code.EE0F
    table.remove(1)
    table.add(session(4), 2)
    assert len(table) == 4


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MAX_SESSIONS", 2)
    table = Sessions()
    table.add(session(1, "a"), 64)
    table.add(session(2, "b"), 64)
    with pytest.raises(Fault):
        table.add(session(3, "c"), 64)


def test_no_session_has_the_id_zero_or_one_that_is_taken() -> None:
    table = Sessions()
    table.add(session(1), 64)
    for number in (0, 1):
        with pytest.raises(Fault):
            table.add(session(number), 64)


def test_expired_sessions_leave_in_the_order_in_which_they_began() -> None:
    table = Sessions()
    for number, deadline_us in ((1, 10), (2, 20), (3, 30)):
        table.add(session(number, deadline_us=deadline_us), 64)
    assert [each.id for each in table.expired(20)] == [1, 2]
    assert [each.id for each in table.expired(20)] == []
    assert len(table) == 1


def test_removing_a_session_twice_does_nothing() -> None:
    table = Sessions()
    table.add(session(1), 64)
    assert table.remove(1) is not None
    assert table.remove(1) is None


def test_a_session_shows_no_key() -> None:
    one = session(1)
    one.confirmation_key = b"secret bytes"
    assert "secret" not in repr(one)
