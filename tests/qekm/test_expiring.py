"""Which certificates somebody is told of, and when."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qekm import pki
from qekm.expiring import Ending, endings, expiring, level_of
from qekm.model import Authority, Partner, Role
from tests.fakes.pki import DAY_US
from tests.qekm.test_certificates import KEY, Desk

NOW_US = 1_000 * DAY_US


@pytest.mark.parametrize(
    ("days", "level"),
    [(61, None), (60, 60), (31, 60), (30, 30), (8, 30), (7, 7), (1, 7), (0, 0), (-400, 0)],
)
def test_a_certificate_of_a_person_is_told_of_at_60_30_and_7_days_and_when_it_has_ended(
    days: int, level: int | None
) -> None:
    assert level_of(Ending("operator", "olga", "1f", NOW_US + days * DAY_US), NOW_US) == level


@pytest.mark.parametrize("role", ["server", "gateway"])
def test_what_renews_itself_is_told_of_only_when_that_is_overdue(role: str) -> None:
    levels = [
        level_of(Ending(role, "a", "1f", NOW_US + days * DAY_US), NOW_US) for days in (59, 30, 29, 28, 6)
    ]
    assert levels == [None, None, None, 30, 7]


def test_the_line_says_who_and_when_and_what_to_do_is_a_command() -> None:
    found = [
        Ending("partner", "acme", "aa", NOW_US - 1),
        Ending("auditor", "ann", "1f", NOW_US + 30 * DAY_US),
    ]
    partner, person = expiring(found, NOW_US)
    assert partner.line == "certificate aa of partner/acme has ended: qekm certificates import FILE"
    assert person.line == "certificate 1f of auditor/ann ends in 30 days"
    assert (person.who, person.days, person.level) == ("auditor/ann", 30, 30)
    assert person.advice == "qekm certificates renew ann"


def test_the_newest_of_each_role_and_name_counts_and_neither_revoked_ones_nor_invitations(
    tmp_path: Path,
) -> None:
    desk = Desk(tmp_path)
    for days in (10, 200):
        desk.owner.issue(KEY, Role.OPERATOR, "olga", [], days)
        desk.clock.now += DAY_US
    gone, _ = desk.owner.issue(KEY, Role.OPERATOR, "otto", [], 10)
    desk.owner.revoke(gone.record.serial)
    desk.owner.issue(KEY, Role.CANDIDATE, "site-b", ["b.example"], 1)
    found = {each.who: each for each in endings(desk.owner)}
    assert set(found) == {
        *("authority/internal", "server/server", "gateway/gateway", "administrator/administrator"),
        "operator/olga",
    }
    assert found["operator/olga"].days(desk.clock.now) == 198
    assert expiring(found.values(), desk.clock.now) == []


def test_drive_authorities_partners_and_the_internal_authority_end_too(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    now_us = desk.clock.now + (pki.AUTHORITY_DAYS - 50) * DAY_US
    authority = Authority(os.urandom(32), b"", "CN=drives", now_us + 6 * DAY_US, 0)
    partner = Partner("acme", b"", os.urandom(32), b"", now_us - 1, 0)
    told = expiring(endings(desk.owner, [authority], [partner]), now_us)
    levels = {each.who: each.level for each in told}
    assert levels["authority/internal"] == 60
    assert levels["drive-authority/CN=drives"] == 7
    assert levels["partner/acme"] == levels["server/server"] == 0
    assert [each.days for each in told] == sorted(each.days for each in told)
