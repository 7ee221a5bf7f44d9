"""Which records are alarms; the texts are those that the service's own parts write."""

from __future__ import annotations

import re

import pytest

from qekm.alarms.alarm import Severity
from qekm.alarms.rules import CROWD, RULES, judge
from qekm.audit import SERVICE, Subject, drive_refused, key_damaged, key_suspected, key_withheld, occurred
from qekm.logs.events import EVENTS
from qekm.model import AuditRecord, Outcome
from qekm_cli.app import NOUNS, load

DRIVE = Subject("001300000392", b"", "E01001L4")


def told(event: str, message: str, outcome: Outcome = Outcome.FAILURE, **more: str) -> AuditRecord:
    return occurred(1, event, SERVICE, outcome, message=message, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "subject", "severity"),
    [
        (told("group.low", "group LTO 8: 3 of 64 keys are left to give out"), "LTO 8", Severity.WARNING),
        (told("peer.silent", "server b is silent since this server started"), "b", Severity.CRITICAL),
        (told("peer.lag", "server b lacks 1,000 records of this one, for 61 s now"), "b", Severity.WARNING),
        (told("peer.diverge", "the stores of this server and b differ: x"), "b", Severity.CRITICAL),
        (told("backup.create", "no room"), "", Severity.CRITICAL),
        (told("backup.verify", "qekm-1.backup: damaged"), "qekm-1.backup", Severity.CRITICAL),
        (told("store.damaged", "the store root does not hold"), "", Severity.CRITICAL),
        (told("certificate.expiring", "operator/o: …", code="DAYS_60"), "operator/o", Severity.WARNING),
        (told("certificate.expiring", "operator/o: …", code="DAYS_7"), "operator/o", Severity.CRITICAL),
        (key_suspected(1, DRIVE, "QK1", "gone"), "QK1", Severity.WARNING),
        (key_damaged(1, DRIVE, "QK1", "MAC"), "QK1", Severity.CRITICAL),
        (key_withheld(1, DRIVE), DRIVE.drive_serial, Severity.WARNING),
        (drive_refused(1, DRIVE, "", "EE34", "every key was used"), DRIVE.drive_serial, Severity.CRITICAL),
        (told("server.start", "version 1", Outcome.SUCCESS), "", Severity.NOTICE),
    ],
)
def test_what_is_wrong_is_an_alarm_about_its_subject(
    record: AuditRecord, subject: str, severity: Severity
) -> None:
    found = judge(record)
    assert found is not None and not found.ended
    assert (found.subject, found.rule.severity) == (subject, severity)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (
            told("group.low", "group g: 3 of 64 keys are left to give out"),
            told("group.low", "group g: 64 of 64 keys are left to give out", Outcome.SUCCESS),
        ),
        (
            told("group.refill", "group g: the token is away"),
            told("group.refill", "64 keys for group g: QK1 to QK64", Outcome.SUCCESS),
        ),
        (
            told("peer.silent", "server b is silent since 2026-01-01 00:00:00 UTC: refused"),
            told("peer.heard", "server b is connected again", Outcome.SUCCESS),
        ),
        (
            told("peer.lag", "server b lacks 9 records of this one, for 61 s now"),
            told("peer.lag", "server b has caught up", Outcome.SUCCESS),
        ),
        (
            told("peer.diverge", "the stores of this server and b differ: keys QK1"),
            told("peer.agree", "the stores of this server and b are the same again", Outcome.SUCCESS),
        ),
        (told("backup.create", "no room"), told("backup.create", "x, 64 keys", Outcome.SUCCESS)),
    ],
)
def test_what_is_well_again_ends_the_alarm_of_the_same_subject(begin: AuditRecord, end: AuditRecord) -> None:
    first, last = judge(begin), judge(end)
    assert first is not None and last is not None and last.ended
    assert (first.rule.event, first.subject) == (last.rule.event, last.subject)


@pytest.mark.parametrize(
    ("record", "is_alarm"),
    [
        (AuditRecord(1, "rpc.refuse", Outcome.FAILURE, "host 192.0.2.1", count=CROWD), True),
        (AuditRecord(1, "rpc.refuse", Outcome.FAILURE, "others", count=CROWD), True),
        (AuditRecord(1, "rpc.refuse", Outcome.FAILURE, "host 192.0.2.1", count=CROWD - 1), False),
        (AuditRecord(1, "rpc.refuse", Outcome.FAILURE, "operator/o", count=CROWD), False),
        (told("drive.refuse", "not one of ours", code="EE31"), False),
        (told("key.create", "", Outcome.INTENT), False),
        (told("rpc.CreateGroup", "", Outcome.SUCCESS), False),
    ],
)
def test_a_crowd_is_one_and_daily_business_is_none(record: AuditRecord, is_alarm: bool) -> None:
    assert (judge(record) is not None) is is_alarm


def test_every_rule_is_of_an_event_there_is_and_advises_a_command_there_is() -> None:
    for rule in RULES:
        assert rule.event in EVENTS and (not rule.well or rule.well in EVENTS), rule.event
        words = re.match(r"qekm (\S+)(?: (\S+))?", rule.advice)
        assert words is not None and words[1] in NOUNS, rule.advice
        assert words[2] in load(words[1]).commands, rule.advice  # type: ignore[union-attr]
