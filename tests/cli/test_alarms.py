"""`qekm alarms` against a service in memory."""

from __future__ import annotations

from qekm.v1 import alarms_pb2 as pb

from .conftest import Qekm
from .fake_service import FakeService


def test_list_shows_what_stands_and_nothing_in_it_steers_the_terminal(qekm: Qekm) -> None:
    told = qekm("alarms", "list")
    assert told.lines[0].split() == ["SEVERITY", "SINCE", "ABOUT", "WHAT", "TO", "DO"]
    assert [line.split()[0] for line in told.lines[1:]] == ["critical", "warning", "warning"]
    assert "\x1b" not in told.out and told.lines[1].endswith("qekm peers status")
    document = qekm("alarms", "list", "--json").document
    assert [each["subject"] for each in document["alarms"]] == ["b", "g", "h"]


def test_a_test_that_arrives_is_told_and_one_that_does_not_names_the_step(
    qekm: Qekm, service: FakeService
) -> None:
    told = qekm("alarms", "test")
    assert (told.code, told.lines[1].split()[-2:]) == (0, ["arrived", "-"])
    service.alarms.results.append(pb.AlarmTest(receiver="webhook at x", failed_step="tls", message="expired"))
    told = qekm("alarms", "test")
    assert told.code == 5 and "webhook at x" in told.out and "failed at tls" in told.out


def test_a_test_without_receivers_says_what_to_set(qekm: Qekm, service: FakeService) -> None:
    service.alarms.results.clear()
    told = qekm("alarms", "test")
    assert told.code == 5 and "set alarms.mail.server or alarms.webhook.url" in told.err
