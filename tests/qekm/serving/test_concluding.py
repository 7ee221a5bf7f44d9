"""Message 04: what it proves, and what is recorded of it."""

from __future__ import annotations

from typing import Any

import pytest

from qekm.dkp.fields import MessageType, Tag
from qekm.dkp.frame import build
from qekm.dkp.signed import join_signature
from qekm.model import AuditRecord, Cartridge, Drive, DriveState, Key, KeyState
from tests.fakes.drive import OPTIONAL, TRANSLATE, DriveSession
from tests.fakes.estate import Estate

SERIAL = "001300000392"


def given(estate: Estate, **said: Any) -> DriveSession:
    return estate.give(estate.drive().session(**said))


def state(estate: Estate, session: DriveSession) -> KeyState:
    return estate.keystore.by_alias(session.alias).state


def test_a_good_status_activates_the_key_and_enrols_the_drive_in_one_unit() -> None:
    estate = Estate()
    session = given(estate)
    estate.now += 5
    reply = estate.ask(session.status())
    assert (reply.type, reply.flags, [tag for tag, _ in reply.tlvs]) == (
        MessageType.COMPLETE,
        8,
        [Tag.SIGNATURE],
    )
    session.take(reply)
    key, cartridge, installed, drive, enrolled = estate.disk.units[-1]
    assert isinstance(key, Key)
    assert (key.alias, key.state) == (session.alias, KeyState.ACTIVE)
    assert cartridge == Cartridge("E01001L4", session.alias, SERIAL, session.drive.wwnn, estate.now)
    assert isinstance(installed, AuditRecord)
    assert (installed.event, installed.outcome.name) == ("key.install", "SUCCESS")
    assert isinstance(drive, Drive)
    assert (drive.spki_sha256, drive.last_seen_time_us) == (session.drive.signer.spki_sha256, estate.now)
    assert isinstance(enrolled, AuditRecord)
    assert enrolled.event == "drive.enrol"


def test_a_known_drive_is_seen_and_not_enrolled_again() -> None:
    estate = Estate()
    drive = estate.drive()
    estate.run(drive.session())
    estate.now += 5
    estate.run(drive.session())
    assert estate.disk.drives[SERIAL].last_seen_time_us == estate.now
    assert estate.disk.events().count("drive.enrol SUCCESS") == 1


def test_a_reader_is_enrolled_too_and_writes_no_cartridge() -> None:
    estate = Estate()
    dki = estate.keystore.page()[0].dki
    estate.run(estate.drive().session(ask=TRANSLATE, dki=dki))
    assert estate.disk.drives[SERIAL].spki_sha256
    assert not estate.disk.cartridges
    assert estate.keystore.page()[0].state is KeyState.SUSPECT  # no other cartridge gets it


def test_a_drive_that_was_added_by_hand_is_pinned() -> None:
    estate = Estate(settings={"drive.acceptUnknownDrives": "false"})
    estate.registry.create(Drive(SERIAL, DriveState.ACCEPTED, 1, group="default"))
    session = estate.run(estate.drive().session())
    entry = estate.disk.drives[SERIAL]
    assert (entry.spki_sha256, entry.wwnn, entry.group) == (
        session.drive.signer.spki_sha256,
        session.drive.wwnn,
        "default",
    )


def test_a_bad_status_makes_the_key_suspect_enrols_nobody_and_is_complete_all_the_same() -> None:
    estate = Estate()
    session = given(estate)
    reply = estate.ask(session.status(installed=False))
    assert reply.type == MessageType.COMPLETE
    session.take(reply)
    assert state(estate, session) is KeyState.SUSPECT
    assert not estate.disk.drives
    assert not estate.disk.cartridges
    assert estate.disk.events()[-2:] == ["key.install FAILURE", "key.suspect FAILURE"]
    assert estate.disk.trail[-2].code == "740C"


def test_a_suspect_key_is_given_to_nobody_else() -> None:
    estate = Estate(keys=2)
    estate.run(estate.drive().session(), installed=False)
    assert estate.run(estate.drive("2").session()).alias != estate.disk.trail[0].alias


def test_a_bad_status_of_a_known_drive_notes_that_it_was_there() -> None:
    estate = Estate()
    drive = estate.drive()
    estate.run(drive.session())
    estate.now += 5
    estate.run(drive.session(), installed=False)
    assert estate.disk.drives[SERIAL].last_seen_time_us == estate.now


@pytest.mark.parametrize("confirm", [{"confirm": False}, {"key": bytes(32)}], ids=["none", "of another key"])
def test_a_missing_or_wrong_confirmation_is_ee29_and_the_key_suspect(confirm: dict[str, Any]) -> None:
    estate = Estate()
    session = given(estate)
    assert estate.refused(session.status(**confirm)) == "EE29"
    assert state(estate, session) is KeyState.SUSPECT
    assert not estate.disk.drives
    assert estate.disk.events()[1:] == ["drive.refuse FAILURE", "key.suspect FAILURE"]


def test_a_confirmation_that_nobody_asked_for_must_be_right_too() -> None:
    estate = Estate()
    session = given(estate)
    assert estate.refused(session.status(installed=False, confirm=True, key=bytes(32))) == "EE29"
    estate = Estate(settings={"drive.optionalEncryption": "clear"})
    session = given(estate, ask=OPTIONAL)
    assert estate.refused(session.status(confirm=True, key=bytes(32))) == "EE29"


def test_a_drive_behind_a_bridge_need_not_confirm() -> None:
    estate = Estate()
    estate.registry.create(Drive(SERIAL, DriveState.ACCEPTED, 1, confirm=False))
    session = given(estate)
    session.take(estate.ask(session.status(confirm=False)))
    assert state(estate, session) is KeyState.ACTIVE


def test_a_wrong_signature_is_ee29_and_a_wrong_type_ee2e() -> None:
    estate = Estate()
    for sig_type, code in ((4, "EE29"), (2, "EE2E")):
        session = given(estate)
        good = session.status()
        tlvs = [*good.tlvs[:-1], (Tag.SIGNATURE, join_signature(sig_type, bytes(64)))]
        assert estate.refused(build(good.type, good.session_id, good.sequence, tlvs)) == code
        assert state(estate, session) is KeyState.SUSPECT


def test_an_entry_that_appeared_meanwhile_is_ee25_and_nothing_is_entered() -> None:
    estate = Estate()
    session = given(estate)
    estate.registry.create(Drive(SERIAL, DriveState.ACCEPTED, 1))
    assert estate.refused(session.status()) == "EE25"
    assert estate.registry.get(SERIAL).spki_sha256 == b""
    assert state(estate, session) is KeyState.SUSPECT
    assert not estate.disk.cartridges


def test_a_wwnn_that_another_entry_took_meanwhile_is_ee25() -> None:
    estate = Estate()
    session = given(estate)
    estate.registry.create(Drive("2", DriveState.ACCEPTED, 1, wwnn=session.drive.wwnn))
    assert estate.refused(session.status()) == "EE25"


def test_a_key_that_another_drive_pinned_meanwhile_is_ee25() -> None:
    estate = Estate()
    estate.registry.create(Drive(SERIAL, DriveState.ACCEPTED, 1))
    first, second = given(estate), given(estate)
    first.take(estate.ask(first.status()))
    assert estate.refused(second.status()) == "EE25"


def test_two_first_sessions_of_one_drive_do_not_shut_each_other_out() -> None:
    estate = Estate()
    drive = estate.drive()
    first, second = estate.give(drive.session()), estate.give(drive.session())
    for session in (first, second):
        session.take(estate.ask(session.status()))
    assert estate.disk.events().count("drive.enrol SUCCESS") == 1


def test_a_drive_that_was_removed_meanwhile_stays_removed() -> None:
    estate = Estate()
    drive = estate.drive()
    estate.run(drive.session())
    session = estate.give(drive.session())
    estate.registry.delete(SERIAL)
    session.take(estate.ask(session.status()))
    assert estate.registry.find(SERIAL) is None
    assert state(estate, session) is KeyState.ACTIVE  # it was installed, whoever may ask again
