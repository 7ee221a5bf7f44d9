"""Messages 84 and 85: which key, recorded how, wrapped how."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from qekm.dkp.fields import MessageType, Tag
from qekm.dkp.pages import build_t10_label
from qekm.model import AuditRecord, Drive, DriveState, Group, Key, KeyState, LabelMode, OnExhaustion
from qekm.secret import Secret
from tests.fakes.drive import ACQUIRE, CREATE, OPTIONAL, TRANSLATE, DriveSession
from tests.fakes.estate import Estate, Refused

SERIAL = "001300000392"


def states(estate: Estate) -> list[str]:
    return [key.state.name for key in estate.disk.keys.values()]


def code_of_giving(estate: Estate, session: DriveSession, named: bytes = b"") -> str:
    try:
        estate.give(session, named)
    except Refused as refused:
        return refused.fault.code.name
    return ""


def entered(estate: Estate, **entry: Any) -> None:
    estate.disk.commit(estate.registry.create(Drive(SERIAL, DriveState.ACCEPTED, 1, **entry)))


@pytest.mark.parametrize("ask", [CREATE, 0xEE11, ACQUIRE, 0xEE10, OPTIONAL])
def test_a_new_key_is_assigned_and_recorded_in_the_unit_before_it_leaves(ask: int) -> None:
    estate = Estate()
    session = estate.give(estate.drive().session(ask=ask))
    key, record = estate.disk.units[-1]
    assert isinstance(key, Key)
    assert isinstance(record, AuditRecord)
    assert (key.alias, key.state, key.drive_serial, key.volser) == (
        session.alias,
        KeyState.ASSIGNED,
        SERIAL,
        "E01001L4",
    )
    assert (record.event, record.outcome.name, record.alias) == ("key.create", "INTENT", session.alias)
    assert estate.keystore.open(key).reveal() == session.data_key


def test_the_page_sets_both_modes_and_clears_the_key_on_demount_when_a_medium_is_known() -> None:
    estate = Estate()
    for said, clears in (({}, True), ({"volser": ""}, False), ({"volser": "", "mount_id": bytes(16)}, True)):
        page = estate.give(estate.drive().session(**said)).page
        assert page is not None
        assert (page.clear_on_demount, page.encryption_mode, page.decryption_mode) == (clears, 2, 3)


def test_a_label_binds_the_key_to_drive_server_session_frame_and_certificate() -> None:
    estate = Estate()
    session = estate.give(estate.drive().session())
    assert session.label == session.full_label


def test_a_t10_label_names_the_drive_only() -> None:
    estate = Estate()
    entered(estate, label_mode=LabelMode.T10)
    session = estate.give(estate.drive().session())
    assert session.label == build_t10_label(session.drive.wwnn)


@pytest.mark.parametrize(("stored", "on_tape"), [("key", b"KEY"), ("KEY", b"key"), ("kEy", b"KEy")])
def test_a_key_is_given_under_the_very_name_that_the_tape_has(stored: str, on_tape: bytes) -> None:
    """Java's keystores keep aliases in lower case; what the former key manager put on tape was not."""
    estate = Estate()
    with Secret(bytes(range(32))) as material:
        key = estate.keystore.take_in(f"{stored}000000000000000A0B", material, "default")
    dki = on_tape + key.dki[3:]
    session = estate.give(estate.drive().session(ask=TRANSLATE, dki=dki))
    assert session.page is not None
    assert (session.page.dki, session.data_key) == (dki, bytes(range(32)))
    assert session.alias == f"{on_tape.decode()}000000000000000A0B"
    assert estate.disk.trail[-1].alias == key.alias


def test_a_named_key_is_given_to_a_reader() -> None:
    estate = Estate()
    written = estate.run(estate.drive().session())
    assert written.page is not None
    dki = written.page.dki
    reader = estate.drive("001310000363")
    for session, named in (
        (reader.session(ask=TRANSLATE, dki=dki), b""),
        (reader.session(ask=TRANSLATE, akad=dki), b""),
        (reader.session(ask=TRANSLATE, dki=dki, akad=dki), b""),
        (reader.session(ask=TRANSLATE), dki),
        (reader.session(ask=0xEE13, dki=dki), b""),
        (reader.session(ask=ACQUIRE, dki=dki), b""),
    ):
        estate.give(session, named)
        assert (session.alias, session.data_key) == (written.alias, written.data_key)
        (record,) = estate.disk.units[-1]
        assert isinstance(record, AuditRecord)
        assert (record.event, record.outcome.name) == ("key.serve", "INTENT")


def test_a_translation_that_names_no_key_is_asked_for_it() -> None:
    estate = Estate()
    session = estate.begin(estate.drive().session(ask=TRANSLATE))
    reply = estate.ask(session.reply_dsk())
    assert (reply.type, reply.flags, reply.tlvs) == (MessageType.QUERY_DKI, 0, ())


def test_a_drive_that_was_changed_or_blocked_meanwhile_is_not_given_the_key_it_names() -> None:
    estate = Estate()
    drive = estate.drive()
    page = estate.run(drive.session()).page
    assert page is not None
    session = estate.begin(drive.session(ask=TRANSLATE))
    session.take(estate.ask(session.reply_dsk()))
    estate.registry.update(SERIAL, product="ULT3580-TD5")
    assert estate.refused(session.reply_dki(page.dki)) == "EE25"
    estate.registry.update(SERIAL, product=drive.product)
    session = estate.begin(drive.session(ask=TRANSLATE))
    session.take(estate.ask(session.reply_dsk()))
    estate.registry.delete(SERIAL, block=True)
    assert estate.refused(session.reply_dki(page.dki)) == "EE2B"


def test_a_key_that_nobody_knows_is_ee31() -> None:
    estate = Estate()
    for ask in (TRANSLATE, ACQUIRE):
        assert code_of_giving(estate, estate.drive().session(ask=ask, dki=b"QKM" + bytes(9))) == "EE31"
    assert code_of_giving(estate, estate.drive().session(ask=TRANSLATE), b"QKM" + bytes(9)) == "EE31"


@pytest.mark.parametrize("ask", [CREATE, OPTIONAL])
def test_a_key_named_in_a_creation_is_ignored(ask: int) -> None:
    estate = Estate()
    written = estate.run(estate.drive().session())
    assert written.page is not None
    assert estate.give(estate.drive("2").session(ask=ask, dki=written.page.dki)).alias != written.alias


def test_a_key_of_the_pool_that_a_drive_reads_by_its_name_is_never_given_for_writing() -> None:
    estate = Estate(keys=2)
    first = next(iter(estate.disk.keys.values()))
    session = estate.give(estate.drive().session(ask=TRANSLATE, dki=first.dki))
    assert session.alias == first.alias
    assert states(estate) == ["SUSPECT", "READY"]
    assert estate.disk.events() == ["key.serve INTENT", "key.suspect FAILURE"]
    estate.build()  # nor after a restart
    assert estate.give(estate.drive().session(mount_id=bytes(16))).alias != first.alias
    assert code_of_giving(estate, estate.drive().session(mount_id=bytes([1] * 16))) == "EE34"


def test_reading_keys_of_the_pool_by_their_names_does_not_empty_it_faster_than_writing() -> None:
    estate = Estate(keys=3, settings={"drive.creationsPerHour": 1})
    first, second, _ = estate.disk.keys.values()
    assert code_of_giving(estate, estate.drive().session(ask=TRANSLATE, dki=first.dki)) == ""
    assert code_of_giving(estate, estate.drive().session(ask=TRANSLATE, dki=second.dki)) == "EE34"
    assert states(estate) == ["SUSPECT", "READY", "READY"]


def test_a_damaged_key_is_ee31_and_leaves_the_pool() -> None:
    estate = Estate(keys=2)
    first = next(iter(estate.disk.keys.values()))
    estate.disk.keys[first.alias] = replace(first, check_value=bytes(4))
    estate.build()
    assert code_of_giving(estate, estate.drive().session()) == "EE31"
    assert states(estate) == ["QUARANTINED", "READY"]
    assert estate.disk.events() == ["key.damaged FAILURE", "drive.refuse FAILURE"]
    assert code_of_giving(estate, estate.drive().session()) == ""


def test_a_damaged_key_is_not_served_to_a_reader() -> None:
    estate = Estate(keys=1)
    (key,) = estate.disk.keys.values()
    estate.disk.keys[key.alias] = replace(key, check_value=bytes(4))
    estate.build()
    assert code_of_giving(estate, estate.drive().session(ask=TRANSLATE, dki=key.dki)) == "EE31"


def test_an_empty_pool_is_ee34_and_reading_goes_on() -> None:
    estate = Estate(keys=1)
    written = estate.run(estate.drive().session())
    assert code_of_giving(estate, estate.drive("2").session()) == "EE34"
    assert written.page is not None
    assert code_of_giving(estate, estate.drive("2").session(ask=TRANSLATE, dki=written.page.dki)) == ""


def test_a_refilled_group_that_a_burst_emptied_gets_a_key_on_the_spot() -> None:
    estate = Estate(keys=1, policy=OnExhaustion.REFILL)
    first = estate.run(estate.drive().session())
    second = estate.run(estate.drive("2").session())
    assert first.alias != second.alias
    assert states(estate) == ["ACTIVE", "ACTIVE"]
    assert "group.refill SUCCESS" in estate.disk.events()
    estate.build()  # what was made is on disk
    assert states(estate) == ["ACTIVE", "ACTIVE"]


def test_a_group_without_any_key_is_ee31() -> None:
    estate = Estate(keys=0)
    assert code_of_giving(estate, estate.drive().session()) == "EE31"


def test_reuse_gives_used_keys_in_turn_and_they_stay_active() -> None:
    estate = Estate(keys=2, policy=OnExhaustion.REUSE)
    drive = estate.drive()
    aliases = [estate.run(drive.session(volser=f"V{number}")).alias[-1] for number in range(5)]
    assert aliases == list("01010")
    assert states(estate) == ["ACTIVE", "ACTIVE"]
    estate.give(drive.session())
    estate.restart()
    assert states(estate) == ["ACTIVE", "ACTIVE"]
    assert [cartridge.volser for cartridge in estate.disk.cartridges] == ["V0", "V1", "V2", "V3", "V4"]


def test_a_drives_own_key_and_group_are_used() -> None:
    estate = Estate()
    estate.groups.append(Group("own", OnExhaustion.REFUSE, False, 1))
    estate.build()
    (grouped,) = estate.keystore.generate(1, "own")
    entered(estate, group="own")
    drive = estate.drive()
    assert estate.run(drive.session()).alias == grouped.alias
    fixed = estate.keystore.page()[3].alias
    estate.registry.update(SERIAL, alias=fixed)
    assert {estate.run(drive.session(volser=f"V{number}")).alias for number in range(3)} == {fixed}


def test_a_drives_own_key_is_given_again_after_a_session_that_went_wrong() -> None:
    estate = Estate()
    entered(estate, alias=estate.keystore.page()[1].alias)
    drive = estate.drive()
    first = estate.give(drive.session())
    estate.restart()
    assert estate.keystore.by_alias(first.alias).state is KeyState.SUSPECT
    assert estate.run(drive.session()).alias == first.alias
    assert estate.keystore.by_alias(first.alias).state is KeyState.ACTIVE


def test_a_drive_that_may_not_have_a_group_is_ee31_for_writing_and_reading() -> None:
    estate = Estate()
    estate.groups.append(Group("other", OnExhaustion.REFUSE, False, 1))
    estate.build()
    (foreign,) = estate.keystore.generate(1, "other")
    entered(estate, allowed_groups=("default",))
    drive = estate.drive()
    assert code_of_giving(estate, drive.session()) == ""
    for ask in (TRANSLATE, ACQUIRE):
        assert code_of_giving(estate, drive.session(ask=ask, dki=foreign.dki)) == "EE31"
    estate.registry.update(SERIAL, allowed_groups=("other",))
    assert code_of_giving(estate, drive.session()) == "EE31"


def test_where_policy_says_so_an_optional_request_is_told_to_write_in_clear() -> None:
    estate = Estate(settings={"drive.optionalEncryption": "clear"})
    session = estate.begin(estate.drive().session(ask=OPTIONAL))
    reply = estate.ask(session.reply_dsk())
    assert (reply.type, reply.flags) == (MessageType.NO_KEY, 8)
    assert [tag for tag, _ in reply.tlvs] == [Tag.SIGNATURE]
    assert estate.disk.events() == ["key.none INTENT"]
    session.take(reply)
    session.take(estate.ask(session.status()))
    assert estate.disk.events() == ["key.none INTENT", "key.none SUCCESS"]
    assert not estate.disk.drives  # NO_KEY enrols nobody
    assert states(estate) == ["READY"] * 4
    assert estate.run(estate.drive().session(ask=CREATE)).alias  # and only then
