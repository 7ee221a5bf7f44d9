"""What a start finds in the trail of the runs before it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from qekm.alarms.past import MOST, is_cut, missed
from qekm.audit import SERVICE, Subject, key_suspected, occurred
from qekm.model import AuditRecord, Outcome
from qekm.store.chain import Link

DRIVE = Subject("001300000392", b"", "E01001L4")
QUIET = occurred(1, "rpc.CreateGroup", SERVICE)


class Trail:
    """A trail of records, the first of which has the place 1."""

    def __init__(self, records: Sequence[AuditRecord]) -> None:
        self.links = [Link(place, record, b"", b"") for place, record in enumerate(records, 1)]

    def audit_page(self, after_sequence: int, limit: int, *, newest_first: bool = False) -> list[Link]:
        """Return a page as the store does."""
        if newest_first:
            rest = self.links[: after_sequence - 1] if after_sequence else self.links
            return rest[::-1][:limit]
        return self.links[after_sequence : after_sequence + limit]


def suspect(alias: str) -> AuditRecord:
    return key_suspected(1, DRIVE, alias, "gone")


def test_of_very_many_records_the_newest_are_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    records = [suspect("QK0"), suspect("QK1"), *[QUIET] * (MOST - 2), suspect("QK2"), suspect("QK3")]
    found = missed(Trail(records), 1)
    assert [(each.sequence, each.record.alias) for each in found] == [(MOST + 1, "QK2"), (MOST + 2, "QK3")]
    assert caplog.messages == ["records 2 to 2 are not looked at for alarms"]
    assert [each.record.alias for each in missed(Trail(records), MOST + 1)] == ["QK3"]
    assert missed(Trail([]), 0) == [] and missed(Trail(records), len(records)) == []


def test_what_lasts_is_left_to_the_next_look() -> None:
    low = occurred(1, "group.low", SERVICE, Outcome.FAILURE, message="group g: 1 of 2 keys are left")
    assert [each.record.event for each in missed(Trail([low, suspect("QK0"), QUIET]), 0)] == ["key.suspect"]


@pytest.mark.parametrize(
    ("events", "cut"),
    [
        ("server.init server.start", False),
        ("server.start server.stop server.start", False),
        ("server.start server.stop account.reset server.start key.suspect", False),
        ("server.start server.start", True),
        ("server.start server.stop server.start key.serve server.start", True),
        ("server.start server.restore server.start", False),
        ("server.start store.adopt server.start", False),
        ("server.start" + " key.serve" * MOST + " server.start", True),
        ("server.start" + " key.serve" * MOST + " server.stop server.start", False),
    ],
    ids=range(9),
)
def test_a_run_that_ended_without_a_stop_is_known_at_the_next_start(events: str, cut: bool) -> None:
    assert is_cut(Trail([occurred(1, event, SERVICE) for event in events.split()])) is cut
