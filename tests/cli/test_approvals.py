"""`qekm approvals` against a service in memory."""

from __future__ import annotations

import pytest

from qekm.v1 import approvals_pb2 as pb

from .conftest import Qekm
from .fake_service import FakeService


def test_list_shows_what_waits_and_on_request_everything(qekm: Qekm, service: FakeService) -> None:
    service.approvals.requests[0].expire_time.seconds += 10**9
    told = qekm("approvals", "list")
    assert told.lines[0].split() == ["ID", "STATE", "ASKED", "BY", "DECIDED", "BY", "ENDS", "WHAT"]
    assert [line.split()[0] for line in told.lines[1:]] == ["00000004", "00000003"]
    assert told.lines[1].split()[1:4] == ["pending", "administrator/alice", "-"]
    assert told.lines[1].endswith("destroy 4 keys in 7 days")
    everything = qekm("approvals", "list", "--all")
    assert [line.split()[0] for line in everything.lines[1:]] == [f"0000000{n}" for n in (4, 3, 2, 1)]
    assert everything.lines[3].split()[1:4] == ["used", "administrator/alice", "custodian/bob"]


def test_a_request_whose_time_is_over_has_ended(qekm: Qekm, service: FakeService) -> None:
    for each in service.approvals.requests:
        each.expire_time.seconds = 1_000_000_000
    states = [line.split()[1] for line in qekm("approvals", "list", "--all").lines[1:]]
    assert states == ["ended", "ended", "used", "ended"]
    document = qekm("approvals", "list", "--all", "--json").document
    assert document["approvals"][0]["state"] == "pending", "a program compares the times itself"


@pytest.mark.parametrize(
    ("verb", "state", "told"),
    [
        (
            "approve",
            pb.APPROVAL_STATE_APPROVED,
            "approved until 2027-01-16T08:00:00Z for",
        ),
        ("refuse", pb.APPROVAL_STATE_REFUSED, "refused to"),
    ],
)
def test_a_request_is_decided(qekm: Qekm, service: FakeService, verb: str, state: int, told: str) -> None:
    assert (
        qekm("approvals", verb, "00000004").out == f"{told} administrator/alice: destroy 4 keys in 7 days\n"
    )
    assert service.approvals.requests[0].state == state
    assert qekm("approvals", verb, "00000004", "--json").document["decider"] == "custodian/bob"


def test_ones_own_request_cannot_be_approved_and_can_be_taken_back(qekm: Qekm) -> None:
    told = qekm("approvals", "approve", "00000003")
    assert told.code == 7
    assert "custodian/bob asked for this and cannot approve it" in told.err
    assert "hint: another person's certificate is needed: qekm certificates issue" in told.err
    assert qekm("approvals", "refuse", "00000003").code == 0


def test_a_request_that_is_not_there_is_named(qekm: Qekm) -> None:
    told = qekm("approvals", "approve", "ffffffff")
    assert told.code == 3
    assert "'ffffffff'" in told.err
    assert "hint: list the requests with: qekm approvals list" in told.err


def test_what_another_wrote_cannot_steer_the_terminal(qekm: Qekm, service: FakeService) -> None:
    service.approvals.requests[0].summary = "destroy\x1b[2J"
    assert "\x1b" not in qekm("approvals", "approve", "00000004").out
    assert "\x1b" not in qekm("approvals", "list").out
