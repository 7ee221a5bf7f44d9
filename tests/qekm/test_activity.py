"""What the service counts since its start."""

from __future__ import annotations

from dataclasses import replace

from qekm.activity import MOST_CODES, MOST_DRIVES, MOST_FAILURES, Activity
from qekm.model import AuditRecord, Outcome


def record(event: str, outcome: Outcome = Outcome.SUCCESS, code: str = "", count: int = 1) -> AuditRecord:
    return AuditRecord(1, event, outcome, "drive", code=code, count=count)


def test_events_are_counted_by_outcome_and_code_with_what_one_record_stands_for() -> None:
    activity = Activity()
    activity.committed(1, [record("drive.refuse", Outcome.FAILURE, "EE31", 7), record("key.create")])
    activity.committed(3, [record("drive.refuse", Outcome.FAILURE, "EE31")])
    assert activity.events == {
        ("drive.refuse", Outcome.FAILURE, "EE31"): 8,
        ("key.create", Outcome.SUCCESS, ""): 1,
    }


def test_the_last_failures_are_kept_newest_first_and_no_more() -> None:
    activity = Activity()
    activity.committed(10, [record("drive.refuse", Outcome.FAILURE) for _ in range(MOST_FAILURES + 5)])
    assert [place for place, _ in activity.failures] == list(range(46, 14, -1))


def test_drives_are_told_of_newest_first_with_what_they_were_given_and_not_more_than_fit() -> None:
    activity = Activity()
    given = [record("key.create", Outcome.INTENT), record("key.install"), record("key.serve", Outcome.INTENT)]
    activity.committed(1, [replace(each, drive_serial="first") for each in given])
    activity.committed(4, [replace(record("drive.enrol"), drive_serial="second")])
    found = [(each.last.drive_serial, each.given, each.place) for each in activity.drives]
    assert found == [("second", 0, 4), ("first", 2, 3)]
    activity.committed(5, [replace(record("drive.enrol"), drive_serial=str(n)) for n in range(MOST_DRIVES)])
    assert [each.last.drive_serial for each in activity.drives][-1] == "0"


def test_whoever_invents_codes_fills_no_memory_and_hides_no_other_event() -> None:
    activity = Activity()
    invented = [record("key.install", Outcome.FAILURE, str(n)) for n in range(3 * MOST_CODES)]
    activity.committed(1, [*invented, *invented, record("key.damaged", Outcome.FAILURE, "EE31")])
    assert len(activity.events) == MOST_CODES + 2
    assert activity.events["key.install", Outcome.FAILURE, "1"] == 2
    assert activity.events["key.install", Outcome.FAILURE, ""] == 4 * MOST_CODES
    assert activity.events["key.damaged", Outcome.FAILURE, "EE31"] == 1
