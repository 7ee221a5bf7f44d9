"""A mount gets one key, however often it asks, and no other mount gets that key."""

from __future__ import annotations

from qekm.model import KeyState
from tests.fakes.drive import TRANSLATE, DriveSession
from tests.fakes.estate import Estate, Refused

MOUNT = bytes(range(16))


def states(estate: Estate) -> list[str]:
    return [key.state.name for key in estate.disk.keys.values()]


def code_of_giving(estate: Estate, session: DriveSession) -> str:
    try:
        estate.give(session)
    except Refused as refused:
        return refused.fault.code.name
    return ""


def test_a_retry_of_a_mount_gets_the_same_key_whatever_became_of_the_first_try() -> None:
    estate = Estate()
    drive = estate.drive()
    first = estate.give(drive.session(mount_id=MOUNT))
    again = estate.give(drive.session(mount_id=MOUNT))  # the answer was lost
    assert (again.alias, again.data_key) == (first.alias, first.data_key)
    estate.restart()  # in mid-session
    assert states(estate).count("SUSPECT") == 1
    assert estate.run(drive.session(mount_id=MOUNT)).alias == first.alias
    assert estate.run(drive.session(mount_id=MOUNT)).alias == first.alias  # COMPLETE was lost
    assert states(estate) == ["ACTIVE", "READY", "READY", "READY"]
    assert len(estate.disk.cartridges) == 1


def test_another_mount_volume_or_drive_gets_another_key() -> None:
    estate = Estate(keys=9)
    drive = estate.drive()
    sessions = [
        estate.run(drive.session(mount_id=MOUNT)),
        estate.run(drive.session(mount_id=bytes(15) + b"\1")),
        estate.run(drive.session(mount_id=MOUNT, volser="E01002L4")),
        estate.run(drive.session(mount_id=MOUNT, volser="")),
        estate.run(drive.session()),
        estate.run(drive.session()),
        estate.run(estate.drive("001310000363").session(mount_id=MOUNT)),
    ]
    assert len({session.alias for session in sessions}) == 7


def test_a_retry_that_ended_badly_leaves_a_confirmed_key_active() -> None:
    estate = Estate()
    drive = estate.drive()
    first = estate.run(drive.session(mount_id=MOUNT))
    estate.run(drive.session(mount_id=MOUNT), installed=False)
    estate.give(drive.session(mount_id=MOUNT))
    estate.restart()
    assert estate.keystore.by_alias(first.alias).state is KeyState.ACTIVE


def test_without_a_mount_id_a_retry_gets_another_key_and_the_old_one_is_suspect() -> None:
    estate = Estate()
    drive = estate.drive()
    first = estate.give(drive.session())
    second = estate.give(drive.session())
    assert first.alias != second.alias
    assert states(estate) == ["SUSPECT", "ASSIGNED", "READY", "READY"]
    unit = [type(change).__name__ for change in estate.disk.units[-1]]
    assert unit == ["Key", "AuditRecord", "Key", "AuditRecord"]


def test_a_session_that_was_given_up_may_still_confirm_its_key() -> None:
    estate = Estate()
    drive = estate.drive()
    estate.run(drive.session())  # enrolled
    first = estate.give(drive.session())
    second = estate.give(drive.session())
    first.take(estate.ask(first.status()))
    second.take(estate.ask(second.status()))
    assert [key.state.name for key in estate.disk.keys.values()] == ["ACTIVE", "ACTIVE", "ACTIVE", "READY"]


def test_the_end_of_an_old_session_does_not_touch_the_key_of_a_new_one() -> None:
    estate = Estate()
    drive = estate.drive()
    first = estate.give(drive.session(mount_id=MOUNT))
    second = estate.give(drive.session(mount_id=MOUNT))
    assert estate.serving.end(first.session_id, 0xEE0E, "closed")[0].event == "session.end"  # type: ignore[union-attr]
    assert estate.keystore.by_alias(first.alias).state is KeyState.ASSIGNED
    second.take(estate.ask(second.status()))
    assert estate.keystore.by_alias(first.alias).state is KeyState.ACTIVE


def test_more_creations_in_an_hour_than_allowed_are_ee34_and_retries_do_not_count() -> None:
    estate = Estate(keys=9, settings={"drive.creationsPerHour": 2})
    drive = estate.drive()
    for number in range(2):
        estate.now += 1_000_000
        for _ in range(3):
            estate.run(drive.session(mount_id=bytes(15) + bytes((number,))))
    assert code_of_giving(estate, drive.session()) == "EE34"
    assert code_of_giving(estate, estate.drive("001310000363").session()) == ""
    assert code_of_giving(estate, drive.session(mount_id=bytes(16))) == ""  # a retry
    estate.now += 3_600_000_000 - 1_000_000
    assert code_of_giving(estate, drive.session()) == ""
    assert code_of_giving(estate, drive.session()) == "EE34"


def test_reading_is_not_limited() -> None:
    estate = Estate(settings={"drive.creationsPerHour": 1})
    drive = estate.drive()
    written = estate.run(drive.session())
    assert written.page is not None
    for _ in range(5):
        assert code_of_giving(estate, drive.session(ask=TRANSLATE, dki=written.page.dki)) == ""
