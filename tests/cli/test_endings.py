"""The end of keys on the command line, against a service in memory."""

from __future__ import annotations

import pytest

from qekm.errors import ApprovalNeeded
from qekm.v1 import keystore_pb2 as pb

from .conftest import Qekm
from .fake_service import ALIAS, FakeService
from .terminal import typed_to_qekm

ONE, TWO = ALIAS.format(1), ALIAS.format(2)


def states(service: FakeService) -> list[str]:
    """Return the states of all keys."""
    return [pb.KeyState.Name(key.state).removeprefix("KEY_STATE_") for key in service.keystore.keys]


def test_keys_are_deactivated_compromised_and_kept(qekm: Qekm, service: FakeService) -> None:
    assert qekm("keys", "deactivate", ONE).out == "nothing new is written with 1 key\n"
    told = qekm("keys", "compromise", ONE, TWO, "--reason", "a tape was sold")
    assert told.out == "2 keys marked as compromised\n"
    assert service.keystore.requests[-1].reason == "a tape was sold"
    assert states(service)[:2] == ["COMPROMISED", "COMPROMISED"]
    assert qekm("keys", "keep", ONE).out == "1 key kept\n"
    document = qekm("keys", "keep", ONE, "--json").document
    assert [key["alias"] for key in document["keys"]] == [ONE]


def test_a_destruction_tells_when_it_happens_and_which_backups_hold_the_keys(
    qekm: Qekm, service: FakeService
) -> None:
    told = qekm("keys", "destroy", "--yes", ONE, TWO)
    assert told.lines == [
        "2 keys to be destroyed at 2027-01-22T08:00:00Z; to call it off before: qekm keys keep",
        "no backup holds any of them",
    ]
    service.keystore.backups = ["one.qekm", "two.qekm"]
    told = qekm("keys", "destroy", "--yes", ONE)
    assert told.lines[1] == "still held by backups: one.qekm, two.qekm"
    document = qekm("keys", "destroy", "--yes", ONE, "--json").document
    assert document["backups"] == ["one.qekm", "two.qekm"]
    assert document["keys"][0]["destroy_time"] == "2027-01-22T08:00:00.123456Z"


def test_who_cannot_be_asked_must_say_so(qekm: Qekm, service: FakeService) -> None:
    told = qekm("keys", "destroy", ONE)
    assert told.code == 2
    assert "nobody can be asked whether the keys are to be destroyed: give --yes" in told.err
    assert "DESTROY_PENDING" not in states(service)


@pytest.mark.parametrize(("answer", "code"), [("2", 0), (" 2 ", 0), ("1", 2), ("", 2), ("yes", 2), ("3", 2)])
def test_a_person_types_how_many_keys_go(answer: str, code: int) -> None:
    words = ["keys", "destroy", ONE, TWO, TWO.lower()]
    ended, screen = typed_to_qekm(words, [answer])
    assert ended == code, screen
    assert "Nothing that was written with 2 keys can be read again." in screen
    assert ("to be destroyed at" in screen) is (code == 0)
    assert ("this was not confirmed: 2 keys named" in screen) is (code == 2)


def test_the_need_of_a_second_person_is_told_with_what_to_do(qekm: Qekm, service: FakeService) -> None:
    service.keystore.needed = ApprovalNeeded(
        "a second person must approve this: destroy 1 key",
        hint="another person approves it with: qekm approvals approve 0a1b2c3d; then run this again",
        approval="0a1b2c3d",
    )
    told = qekm("keys", "destroy", "--yes", ONE)
    assert told.code == 6
    assert told.err.splitlines() == [
        "qekm: error: a second person must approve this: destroy 1 key",
        "qekm: hint: another person approves it with: qekm approvals approve 0a1b2c3d; then run this again",
    ]


def test_show_tells_when_a_key_goes(qekm: Qekm) -> None:
    qekm("keys", "destroy", "--yes", ONE)
    told = [line.split() for line in qekm("keys", "show", ONE).lines]
    assert ["Destroyed", "2027-01-22T08:00:00Z"] in told
