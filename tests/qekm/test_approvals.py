"""The second person's word: for exactly what was asked, by somebody else, once, and in time."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.approvals import KEPT, LIFE_US, MOST_PENDING, REMEMBERED_US, Act, Approvals, people, person
from qekm.errors import SameSubject, TooMany, UnknownApproval
from qekm.model import Approval, ApprovalState, Certificate, Role

ALICE, BOB = "administrator/alice", "custodian/bob"
ACT = Act.of("destroy", "destroy key A in 7 days", ["a"], 7)
START_US = 1_800_000_000_000_000
LONG_AGO_US = START_US - 1


@dataclass
class Desk:
    """Requests, and the clock to turn."""

    now_us: int = START_US
    rows: dict[str, Approval] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, *rows: Approval) -> None:
        """Lose the memory, keep the disk."""
        self.rows |= {row.approval_id: row for row in rows}
        self.approvals = Approvals(self.rows.values(), lambda: self.now_us, os.urandom)

    def ask(self, act: Act = ACT, who: str = ALICE) -> Approval:
        """Ask, and commit."""
        return self.keep(self.approvals.ask(act, who))

    def granted(self, act: Act = ACT, who: str = ALICE, by: str = BOB) -> Approval:
        """Ask, and have it approved."""
        return self.keep(self.approvals.grant(self.ask(act, who).approval_id, by, LONG_AGO_US))

    def keep(self, row: Approval) -> Approval:
        """Commit a row."""
        self.rows[row.approval_id] = row
        return row


@pytest.fixture
def desk() -> Desk:
    """Return the requests of an estate, none so far."""
    return Desk()


def test_what_another_approved_is_used_once_by_who_asked(desk: Desk) -> None:
    asked = desk.ask()
    assert (asked.state, asked.requester, asked.expire_time_us) == (
        ApprovalState.PENDING,
        ALICE,
        START_US + LIFE_US,
    )
    assert desk.approvals.use(ACT, ALICE) is None
    granted = desk.granted()
    assert (granted.approval_id, granted.decider, granted.decide_time_us) == (
        asked.approval_id,
        BOB,
        START_US,
    )
    assert desk.approvals.use(ACT, BOB) is None
    used = desk.approvals.use(ACT, ALICE)
    assert used == replace(granted, state=ApprovalState.USED)
    assert desk.approvals.use(ACT, ALICE) is None


def test_asking_twice_files_one_request_and_after_its_use_another(desk: Desk) -> None:
    first = desk.ask()
    assert desk.ask() is first
    desk.granted()
    desk.approvals.use(ACT, ALICE)
    assert desk.ask().approval_id != first.approval_id


def test_two_who_ask_the_same_have_each_their_own_request(desk: Desk) -> None:
    assert desk.ask(who=ALICE).approval_id != desk.ask(who=BOB).approval_id
    desk.granted(who=ALICE)
    assert desk.approvals.use(ACT, BOB) is None


@pytest.mark.parametrize(
    "other",
    [
        Act.of("export", "destroy key A in 7 days", ["a"], 7),
        Act.of("destroy", "destroy key A in 7 days", ["a", "b"], 7),
        Act.of("destroy", "destroy key A in 7 days", ["b"], 7),
        Act.of("destroy", "destroy key A in 7 days", ["a"], 8),
        Act.of("destroy", "destroy key A in 7 days", 7, ["a"]),
    ],
)
def test_an_approval_is_of_these_parameters_and_no_others(desk: Desk, other: Act) -> None:
    desk.granted()
    assert desk.approvals.use(other, ALICE) is None
    assert desk.ask(other).approval_id != desk.granted().approval_id


plain = st.one_of(st.none(), st.integers(-(2**62), 2**62), st.text(max_size=4), st.binary(max_size=4))
parameters = st.lists(st.one_of(plain, st.lists(plain, max_size=3)), max_size=4)


@given(parameters, parameters)
def test_different_parameters_have_different_digests(one: list[Any], other: list[Any]) -> None:
    same = Act.of("destroy", "", *one).digest == Act.of("destroy", "", *other).digest
    assert same is (one == other)


def test_a_list_is_told_from_its_items() -> None:
    digests = {
        Act.of("x", "", *each).digest for each in (("a", "b"), (["a", "b"],), (["a"], ["b"]), (["a"], "b"))
    }
    assert len(digests) == 4


@pytest.mark.parametrize("who", [ALICE, "custodian/alice", "administrator/ALICE"])
def test_who_asked_cannot_approve_whatever_the_role(desk: Desk, who: str) -> None:
    asked = desk.ask()
    with pytest.raises(SameSubject):
        desk.approvals.grant(asked.approval_id, who, LONG_AGO_US)
    assert desk.approvals.use(ACT, ALICE) is None


def test_a_certificate_that_was_made_after_the_request_does_not_approve_it(desk: Desk) -> None:
    asked = desk.ask()
    with pytest.raises(SameSubject, match=f"custodian/bob was made after request {asked.approval_id}"):
        desk.approvals.grant(asked.approval_id, BOB, START_US + 1)
    assert desk.approvals.grant(asked.approval_id, BOB, START_US).state is ApprovalState.APPROVED


def test_a_request_ends_after_a_day_whether_approved_or_not(desk: Desk) -> None:
    other = Act.of("destroy", "another", ["b"], 7)
    pending, _ = desk.ask(), desk.granted(other)
    desk.now_us += LIFE_US
    for decide in (lambda: desk.approvals.grant(pending.approval_id, BOB, 0), lambda: refuse(desk, pending)):
        with pytest.raises(UnknownApproval, match="has ended"):
            decide()
    assert desk.approvals.use(other, ALICE) is None
    assert desk.ask().approval_id != pending.approval_id


def test_until_its_last_microsecond_it_counts(desk: Desk) -> None:
    desk.granted()
    desk.now_us += LIFE_US - 1
    assert desk.approvals.use(ACT, ALICE) is not None


def refuse(desk: Desk, approval: Approval, who: str = BOB) -> Approval:
    return desk.keep(desk.approvals.refuse(approval.approval_id, who))


@pytest.mark.parametrize("who", [ALICE, BOB])
@pytest.mark.parametrize("approved", [False, True])
def test_a_request_may_be_refused_or_taken_back_until_it_is_used(
    desk: Desk, who: str, approved: bool
) -> None:
    asked = desk.granted() if approved else desk.ask()
    refused = refuse(desk, asked, who)
    assert (refused.state, refused.decider) == (ApprovalState.REFUSED, who)
    assert desk.approvals.use(ACT, ALICE) is None
    for decide in (
        lambda: desk.approvals.grant(asked.approval_id, BOB, LONG_AGO_US),
        lambda: refuse(desk, asked),
    ):
        with pytest.raises(UnknownApproval, match="is refused already"):
            decide()


def test_what_was_approved_or_used_is_not_approved_again(desk: Desk) -> None:
    granted = desk.granted()
    with pytest.raises(UnknownApproval, match="is approved already"):
        desk.approvals.grant(granted.approval_id, BOB, LONG_AGO_US)
    desk.approvals.use(ACT, ALICE)
    with pytest.raises(UnknownApproval, match="is used already"):
        refuse(desk, granted)


def test_a_request_that_is_not_there_is_named(desk: Desk) -> None:
    asked = desk.ask()
    assert desk.approvals.find(asked.approval_id.upper()) is asked
    with pytest.raises(UnknownApproval, match="'00'"):
        desk.approvals.find("00")


def test_a_restart_goes_on_where_the_disk_is(desk: Desk) -> None:
    first = desk.ask()
    desk.restart()
    assert desk.ask().approval_id == first.approval_id
    desk.granted()
    desk.restart()
    used = desk.approvals.use(ACT, ALICE)
    assert used is not None
    desk.restart()  # the use was not committed
    assert desk.approvals.use(ACT, ALICE) == used
    desk.restart(used)
    assert desk.approvals.use(ACT, ALICE) is None


def numbered(number: int) -> Act:
    return Act.of("destroy", f"number {number}", number)


def test_nobody_has_more_than_a_few_requests_waiting(desk: Desk) -> None:
    for number in range(MOST_PENDING):
        desk.ask(numbered(number))
    with pytest.raises(TooMany, match=f"{MOST_PENDING} requests of {ALICE}"):
        desk.ask(numbered(MOST_PENDING))
    desk.ask(numbered(MOST_PENDING), BOB)
    refuse(desk, desk.ask(numbered(0)))
    desk.ask(numbered(MOST_PENDING))
    desk.now_us += LIFE_US
    desk.ask(numbered(MOST_PENDING + 1))


def test_lists_are_newest_first_and_go_on_where_they_stopped(desk: Desk) -> None:
    made = []
    for number in range(5):
        desk.now_us += 1
        made.append(desk.ask(numbered(number)).approval_id)
    refuse(desk, desk.approvals.find(made[1]))
    open_ = [made[4], made[3], made[2], made[0]]
    assert [each.approval_id for each in desk.approvals.page()] == open_
    assert [each.approval_id for each in desk.approvals.page(made[3], 1)] == [made[2]]
    assert desk.approvals.page(made[0]) == []
    assert [each.approval_id for each in desk.approvals.page(over=True)] == made[::-1]
    assert desk.approvals.page("no such id") == []


def test_what_is_over_is_kept_in_bounds_and_what_waits_is_kept() -> None:
    desk = Desk()
    rows = [
        Approval(f"{n:08x}", "destroy", bytes(32), "", ALICE, n, START_US + n, ApprovalState.USED)
        for n in range(KEPT + 50)
    ]
    waiting = replace(rows[9], approval_id="ffffffff", state=ApprovalState.PENDING, create_time_us=0)
    desk.restart(*rows, waiting)
    assert len(desk.approvals.page(limit=9_999, over=True)) == KEPT + 1
    assert [each.approval_id for each in desk.approvals.page()] == ["ffffffff"]
    assert desk.approvals.find(rows[-1].approval_id)
    with pytest.raises(UnknownApproval):
        desk.approvals.find(rows[0].approval_id)


def test_an_id_whose_row_is_on_the_disk_is_not_drawn_again() -> None:
    drawn = iter([bytes(4), bytes(4), b"\0\0\0\1"])
    first = Approvals((), lambda: START_US, lambda _count: next(drawn)).ask(ACT, ALICE)
    again = Approvals([first], lambda: START_US, lambda _count: next(drawn))
    assert again.ask(ACT, BOB).approval_id == "00000001"


def certificate(role: Role, name: str, revoked_us: int = 0) -> Certificate:
    return Certificate(f"{role}{name}", role, name, 0, 1, b"", revoked_us)


def test_one_name_is_one_person_and_only_some_roles_decide() -> None:
    records = [
        certificate(Role.ADMINISTRATOR, "alice"),
        certificate(Role.CUSTODIAN, "Alice"),
        certificate(Role.OPERATOR, "olga"),
        certificate(Role.GATEWAY, "gateway"),
        certificate(Role.SERVER, "server"),
        certificate(Role.AUDITOR, "anna"),
    ]
    assert people(records, START_US) == {"alice"} == {person(ALICE)}
    assert people([*records, certificate(Role.CUSTODIAN, "bob")], START_US) == {"alice", "bob"}


def test_who_was_revoked_a_short_time_ago_is_remembered() -> None:
    records = [certificate(Role.ADMINISTRATOR, "alice"), certificate(Role.CUSTODIAN, "bob", START_US)]
    assert people(records, START_US + REMEMBERED_US - 1) == {"alice", "bob"}
    assert people(records, START_US + REMEMBERED_US) == {"alice"}


def test_what_one_asked_for_another_does_and_that_is_the_consent(desk: Desk) -> None:
    asked = desk.ask()
    assert desk.approvals.check_second(ACT, BOB, LONG_AGO_US) == asked
    used = desk.keep(desk.approvals.second(ACT, BOB, LONG_AGO_US))
    assert (used.state, used.requester, used.decider) == (ApprovalState.USED, ALICE, BOB)
    with pytest.raises(UnknownApproval):
        desk.approvals.second(ACT, BOB, LONG_AGO_US)


@pytest.mark.parametrize(
    ("who", "issued_us"),
    [(ALICE, LONG_AGO_US), ("administrator/ALICE", LONG_AGO_US), (BOB, START_US + 1)],
    ids=["who asked", "in another role", "by a certificate made since"],
)
def test_who_asked_does_not_do_it_too(desk: Desk, who: str, issued_us: int) -> None:
    asked = desk.ask()
    for act in (desk.approvals.check_second, desk.approvals.second):
        with pytest.raises(SameSubject):
            act(ACT, who, issued_us)
    assert desk.approvals.find(asked.approval_id) == asked


def test_who_asked_may_do_it_once_another_has_approved(desk: Desk) -> None:
    desk.granted()
    assert desk.approvals.second(ACT, ALICE, LONG_AGO_US).decider == BOB


def test_what_is_withdrawn_nobody_does(desk: Desk) -> None:
    desk.ask()
    (refused,) = desk.approvals.withdraw(ACT, BOB)
    assert refused.state is ApprovalState.REFUSED
    with pytest.raises(UnknownApproval):
        desk.approvals.second(ACT, BOB, LONG_AGO_US)
    assert desk.approvals.withdraw(ACT, BOB) == []
