"""A message about alarms: whatever was sent to us stays where it belongs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from email import message_from_bytes
from email.policy import default

from hypothesis import given
from hypothesis import strategies as st

from qekm.alarms.alarm import Alarm, Severity
from qekm.alarms.digest import KEPT, LONGEST, MOST, Digest, body_of, mail_of, merged

TIME_US = 1_769_860_800_000_000
EVIL = "E1\r\nBcc: mallory@example.org\r\n\r\n.\r\nsee\u2028\u202emore\x00"


def alarm(subject: str = "g", text: str = "3 of 64", ended: bool = False, count: int = 1) -> Alarm:
    return Alarm(
        "group.low",
        subject,
        Severity.WARNING,
        "few keys are left",
        text,
        f"qekm keys generate --group {subject}",
        TIME_US,
        TIME_US,
        count,
        ended=ended,
    )


def digest(*alarms: Alarm, mark: str = "ab" * 16) -> Digest:
    return Digest("a on host", mark, TIME_US, alarms)


def test_a_mail_names_server_and_thing_and_command() -> None:
    mail = mail_of(digest(alarm(), alarm("h", ended=True)), "q@example.org", ["a@example.org", "b@x.org"])
    assert mail["Subject"] == "[Q-EKM a on host] WARNING: few keys are left (g), and 1 more"
    assert mail["To"] == "a@example.org, b@x.org" and mail["Auto-Submitted"] == "auto-generated"
    text = mail.get_content()
    assert "Server a on host, 2026-01-31T12:00:00Z." in text
    assert "WARNING: few keys are left: g\n  3 of 64\n  since 2026-01-31T12:00:00Z (group.low)\n" in text
    assert "  to do: qekm keys generate --group g\n" in text
    assert "WELL AGAIN: few keys are left: h\n" in text


@given(st.text(max_size=200) | st.just(EVIL), st.text(max_size=2_000) | st.just(EVIL))
def test_no_text_becomes_a_header_or_a_line_of_its_own(subject: str, text: str) -> None:
    told = digest(alarm(subject, text))
    raw = mail_of(told, "q@example.org", ["a@example.org"]).as_bytes()
    mail = message_from_bytes(raw, policy=default)
    assert sorted(set(mail.keys())) == sorted(
        [
            *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-QEKM-Severity"),
            *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
        ]
    )
    assert not mail.defects and not mail.is_multipart()
    assert len(mail.get_content().splitlines()) == (8 if text else 7)
    (found,) = json.loads(body_of(told))["alarms"]
    assert (found["subject"], found["text"]) == (subject, text[:LONGEST])


def test_a_burst_is_one_message_of_bounded_length() -> None:
    text = mail_of(digest(*(alarm(f"g{i}") for i in range(3 * MOST))), "q@x.org", ["a@x.org"]).get_content()
    assert text.count("few keys are left") == MOST and f"{2 * MOST} more are not told of here" in text


def test_digests_that_waited_become_one_with_the_last_news_of_each_alarm() -> None:
    first, second = digest(alarm(count=2), alarm("h")), digest(alarm(count=3, ended=True))
    both = merged([first, second])
    assert [(each.subject, each.ended, each.count) for each in both.alarms] == [
        ("g", True, 5),
        ("h", False, 1),
    ]


def test_what_waited_together_is_known_by_all_of_it_and_dropped_by_nobody_who_has_heard_a_part() -> None:
    first, second = digest(alarm(), mark="ab" * 16), digest(alarm("h"), mark="cd" * 16)
    both, third = merged([first, second]), digest(alarm("i"), mark="ef" * 16)
    assert merged([first]) is first, "alone it is the one that came before"
    assert len({each.id for each in (first, second, both, merged([first, second, third]))}) == 4
    assert both.id == merged([first, second]).id and re.fullmatch("[0-9a-f]{32}", both.id)
    mail = mail_of(both, "q@example.org", ["a@example.org"])
    assert mail["Message-ID"] == f"<{both.id}@example.org>"
    assert json.loads(body_of(both))["id"] == both.id


def test_of_very_many_that_waited_the_gravest_are_kept_and_the_others_counted() -> None:
    grave = replace(alarm("last"), severity=Severity.CRITICAL)
    both = merged([digest(*(alarm(f"g{i}", ended=i == 0) for i in range(KEPT))), digest(grave)])
    kept = {each.subject for each in both.alarms}
    assert (len(kept), both.dropped, "last" in kept, "g0" in kept) == (KEPT, 1, True, False)
