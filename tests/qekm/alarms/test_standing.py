"""Alarms that stand: told once, again after a while, and that all is well."""

from __future__ import annotations

from dataclasses import dataclass, field

from qekm.alarms.alarm import Alarm, Severity
from qekm.alarms.standing import MOST, REST_US, Standing
from qekm.audit import SERVICE, Subject, key_damaged, key_suspected, occurred
from qekm.model import AuditRecord, Outcome

HOUR_US = 3_600_000_000


@dataclass
class Watch:
    """A day, an hour between repetitions, and what was told of."""

    level: Severity = Severity.WARNING
    now_us: int = HOUR_US
    standing: Standing = field(init=False)

    def __post_init__(self) -> None:
        """Begin."""
        self.standing = Standing(lambda: self.level, lambda: HOUR_US)

    def low(self, bad: bool = True, group: str = "g") -> None:
        """Have a group become low, or well."""
        outcome = Outcome.FAILURE if bad else Outcome.SUCCESS
        text = f"group {group}: 1 of 2 keys are left to give out"
        self.take(occurred(self.now_us, "group.low", SERVICE, outcome, message=text))

    def take(self, record: AuditRecord) -> None:
        """Take a record."""
        self.standing.take(record, 7)

    def told(self, after_us: int = 0) -> list[tuple[str, bool, int]]:
        """Return what somebody is told of after a while."""
        self.now_us += after_us
        return [(each.event, each.ended, each.count) for each in self.standing.due(self.now_us)]

    @property
    def stands(self) -> list[Alarm]:
        """Return what stands."""
        return list(self.standing)


def test_an_alarm_is_told_once_again_after_the_while_and_its_end_once() -> None:
    watch = Watch()
    watch.low()
    assert watch.told() == [("group.low", False, 1)]
    assert watch.told(HOUR_US - 1) == [] and len(watch.stands) == 1
    assert watch.told(1) == [("group.low", False, 0)]
    watch.low(bad=False)
    assert watch.told() == [("group.low", True, 0)]
    assert watch.told(HOUR_US) == [] and watch.stands == []


def test_what_comes_and_goes_is_told_once_in_a_rest() -> None:
    watch = Watch()
    heard = []
    for _ in range(REST_US // 10_000_000 - 1):
        watch.low()
        heard += watch.told(5_000_000)
        watch.low(bad=False)
        heard += watch.told(5_000_000)
    assert heard == [("group.low", False, 1), ("group.low", True, 0)]
    watch.low()
    assert watch.told() == [] and len(watch.stands) == 1
    assert watch.told(REST_US) == [("group.low", False, 1)]  # it stands still


def test_an_end_and_a_new_beginning_in_one_moment_change_nothing() -> None:
    watch = Watch()
    watch.low()
    assert len(watch.told()) == 1
    watch.low(bad=False)
    watch.low()
    assert watch.told(1) == [] and len(watch.stands) == 1
    watch.low(bad=False)
    assert [ended for _, ended, _ in watch.told(1)] == [True]


def test_what_happened_at_a_moment_is_counted_and_forgotten_after_the_while() -> None:
    watch = Watch()
    for _ in range(3):
        watch.take(key_suspected(watch.now_us, Subject("d"), "QK1", "gone"))
    assert watch.told() == [("key.suspect", False, 3)]
    watch.take(key_suspected(watch.now_us, Subject("d"), "QK1", "gone"))
    assert watch.told(HOUR_US - 1) == []
    assert watch.told(1) == [("key.suspect", False, 1)]
    assert watch.told(HOUR_US) == [] and watch.stands == []


def test_nobody_is_told_of_what_is_below_the_level_nor_of_its_end() -> None:
    watch = Watch(Severity.CRITICAL)
    watch.low()
    assert watch.told() == [] and len(watch.stands) == 1
    watch.low(bad=False)
    assert watch.told() == [] and watch.stands == []
    watch.take(key_damaged(watch.now_us, Subject("d"), "QK1", "MAC"))
    assert watch.told() == [("key.damaged", False, 1)]


def test_a_certificate_that_comes_nearer_to_its_end_is_told_of_at_each_step() -> None:
    watch = Watch()
    for days in (60, 30, 7, 0):
        watch.take(
            occurred(
                watch.now_us,
                "certificate.expiring",
                SERVICE,
                Outcome.FAILURE,
                code=f"DAYS_{days}",
                message="operator/o: ends",
            )
        )
        assert watch.told(REST_US) == [("certificate.expiring", False, 1)], days
    assert [each.severity for each in watch.stands] == [Severity.CRITICAL]


def test_a_flood_of_others_leaves_what_lasts_and_what_is_grave() -> None:
    watch = Watch()
    watch.low()
    watch.take(key_damaged(watch.now_us, Subject("d"), "QK0", "MAC"))
    for number in range(1, 2 * MOST):
        watch.take(key_suspected(watch.now_us, Subject("d"), f"QK{number}", "gone"))
    kept = {each.event for each in watch.stands}
    assert len(watch.stands) == MOST and kept == {"group.low", "key.damaged", "key.suspect"}
    assert watch.standing.dropped == MOST + 1
    assert next(each.event for each in watch.standing.due(watch.now_us)) == "key.damaged"
