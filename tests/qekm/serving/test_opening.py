"""Message 01: what is asked, and who may ask."""

from __future__ import annotations

import pytest

from qekm.claim import DIAGNOSIS_SERIAL, Claim
from qekm.dkp.fields import MessageType, Tag
from qekm.dkp.frame import Frame, build
from qekm.drives import MAX_PENDING
from qekm.model import Drive, DriveState
from tests.fakes.drive import ACQUIRE, CREATE, NO_OPERATION, OPTIONAL, TRANSLATE, FakeDrive
from tests.fakes.drive_authority import DriveAuthority
from tests.fakes.estate import Estate

SERIAL = "001300000392"


@pytest.mark.parametrize("ask", [CREATE, 0xEE11, TRANSLATE, 0xEE13, ACQUIRE, 0xEE10, OPTIONAL])
def test_a_drive_that_asks_is_challenged(ask: int) -> None:
    estate = Estate()
    reply = estate.ask(estate.drive().session(ask=ask).notify())
    assert (reply.type, reply.flags, reply.sequence) == (MessageType.QUERY_DSK, 0, 2)
    assert reply.session_id
    assert len(reply.get(Tag.CHALLENGE) or b"") == 32
    assert reply.all(Tag.CERTIFICATE) == estate.chain


def test_every_challenge_and_session_id_is_fresh() -> None:
    estate = Estate()
    replies = [estate.ask(estate.drive().session().notify()) for _ in range(20)]
    assert len({reply.session_id for reply in replies}) == 20
    assert len({reply.get(Tag.CHALLENGE) for reply in replies}) == 20


@pytest.mark.parametrize("ask", [0x0000, 0xEF12, 0xEE1A, 0xEEC0, 0xEFC1])
def test_sense_data_that_asks_nothing_is_ee02(ask: int) -> None:
    estate = Estate(settings={"drive.acceptUnknownDrives": "false"})
    assert estate.refused(estate.drive().session(ask=ask).notify()) == "EE02"  # before EF01


def test_a_no_operation_is_complete_at_once_and_leaves_nothing() -> None:
    estate = Estate()
    decision = estate.decide(estate.drive().session(ask=NO_OPERATION).notify())
    assert decision.reply == Frame(MessageType.COMPLETE, 0, 0, 2, ())
    assert (decision.changes, decision.session_id, decision.sequence) == ((), 0, 2)


@pytest.mark.parametrize("ask", [NO_OPERATION, CREATE])
def test_an_unknown_drive_is_ef01_where_unknown_ones_are_not_accepted(ask: int) -> None:
    estate = Estate(settings={"drive.acceptUnknownDrives": "false"})
    assert estate.refused(estate.drive().session(ask=ask).notify()) == "EF01"
    estate.registry.create(Drive(SERIAL, DriveState.ACCEPTED, 1))
    assert estate.refused(estate.drive().session(ask=ask).notify()) == ""


def test_a_pending_drive_is_listed_and_refused_until_it_is_accepted() -> None:
    estate = Estate(settings={"drive.acceptUnknownDrives": "pending"})
    drive = estate.drive()
    assert estate.refused(estate.begin(drive.session()).reply_dsk()) == "EF01"
    assert estate.disk.drives[SERIAL].state is DriveState.PENDING
    assert estate.disk.drives[SERIAL].product == "ULT3580-TD4"
    assert estate.refused(estate.begin(drive.session()).reply_dsk()) == "EF01"
    assert len([unit for unit in estate.disk.units if any(isinstance(row, Drive) for row in unit)]) == 1
    estate.registry.accept(SERIAL)
    estate.run(drive.session())
    assert estate.disk.drives[SERIAL].state is DriveState.ACCEPTED


def test_who_proves_nothing_does_not_get_on_the_pending_list() -> None:
    estate = Estate(settings={"drive.acceptUnknownDrives": "pending"})
    other = FakeDrive(DriveAuthority("Nobody's"), SERIAL)
    assert estate.refused(estate.begin(other.session()).reply_dsk()) == "EE2B"
    assert estate.refused(estate.begin(estate.drive().session()).reply_dsk(signer=other.signer)) == "EE29"
    for number in range(100):
        estate.refused(estate.drive(str(number)).session().notify())
    assert not estate.disk.drives
    assert estate.registry.total() == 0


def test_the_pending_list_is_bounded_for_those_who_prove_something_too() -> None:
    estate = Estate(settings={"drive.acceptUnknownDrives": "pending"})
    for number in range(MAX_PENDING):
        estate.registry.wait(Claim(f"W{number}", b""))
    assert estate.refused(estate.begin(estate.drive().session()).reply_dsk()) == "EF01"
    assert not estate.disk.drives


def test_a_drive_whose_wwnn_or_product_is_not_its_entrys_is_ee25() -> None:
    estate = Estate()
    drive = estate.drive()
    estate.run(drive.session())
    for field, value in (("wwnn", b"another!"), ("product", "ULT3580-TD5")):
        was = getattr(drive, field)
        setattr(drive, field, value)
        assert estate.refused(drive.session().notify()) == "EE25"
        setattr(drive, field, was)
    assert estate.refused(drive.session().notify()) == ""


def test_another_drives_wwnn_is_ee25() -> None:
    estate = Estate()
    estate.run(estate.drive().session())
    thief = estate.drive("001310000363", wwnn=estate.drive().wwnn)
    assert estate.refused(thief.session().notify()) == "EE25"


def test_a_serial_of_ten_digits_is_the_entry_with_two_zeros() -> None:
    estate = Estate(settings={"drive.acceptUnknownDrives": "false"})
    estate.registry.create(Drive(SERIAL, DriveState.ACCEPTED, 1))
    session = estate.run(estate.drive("1300000392").session())
    assert estate.disk.keys[session.alias].drive_serial == SERIAL


def test_the_serial_of_the_diagnosis_is_ef01_where_there_is_none() -> None:
    estate = Estate()
    estate.serving._desk.diagnosis = None
    assert estate.refused(estate.drive(DIAGNOSIS_SERIAL).session().notify()) == "EF01"


@pytest.mark.parametrize(("session_id", "sequence"), [(1, 1), (0, 2), (0, 0), (1, 3)])
def test_a_session_begins_with_id_zero_and_sequence_one(session_id: int, sequence: int) -> None:
    estate = Estate()
    good = estate.drive().session().notify()
    assert estate.refused(build(good.type, session_id, sequence, good.tlvs)) == "EE2D"


@pytest.mark.parametrize(
    "tag", [Tag.DRIVE_SERIAL, Tag.DRIVE_WWNN, Tag.VENDOR, Tag.PRODUCT, Tag.SENSE], ids=lambda tag: tag.name
)
def test_what_is_missing_is_ee23_whatever_the_gateway_let_pass(tag: Tag) -> None:
    estate = Estate()
    good = estate.drive().session().notify()
    tlvs = [tlv for tlv in good.tlvs if tlv[0] != tag]
    assert estate.refused(build(good.type, 0, 1, tlvs)) == "EE23"


def test_flags_and_fields_that_contradict_each_other_are_eee1() -> None:
    estate = Estate()
    good = estate.drive().session().notify()
    assert estate.refused(Frame(good.type, 4, 0, 1, good.tlvs)) == "EEE1"
    for said in ({"dki": b"QKM" + bytes(9), "akad": b"QKM" + bytes(8) + b"\1"}, {"label": b"kek"}):
        label = said.pop("label", None)
        frame = estate.drive().session(ask=TRANSLATE, **said).notify()
        if label:
            frame = build(frame.type, 0, 1, [*frame.tlvs, (Tag.KEK_LABEL, label)])
        assert estate.refused(frame) == "EEE1"


def test_one_source_has_so_many_sessions_at_once() -> None:
    estate = Estate(settings={"dkp.connectionsPerAddress": 3})
    for _ in range(3):
        estate.begin(estate.drive().session())
    decision = estate.decide(estate.drive().session().notify(), source="10.0.0.1:4001")
    assert str(decision.reply) == "EE0F: "
    assert estate.refused(estate.drive().session().notify(), source="10.0.0.2:4000") == ""
    estate.now += 120_000_000
    estate.serving.expire()
    assert estate.refused(estate.drive().session().notify()) == ""


@pytest.mark.parametrize("set_by", [3_600_000_000, -3_600_000_000])
def test_a_session_lasts_as_long_as_it_lasts_though_the_date_is_set_meanwhile(set_by: int) -> None:
    estate = Estate(settings={"drive.creationsPerHour": 1})
    session = estate.begin(estate.drive().session())
    estate.set_by = set_by
    estate.disk.commit(estate.serving.expire())
    assert estate.ask(session.reply_dsk())
    assert estate.refused(estate.begin(estate.drive().session()).reply_dsk()) == "EE34"


def test_all_of_an_ipv6_network_are_one_source() -> None:
    estate = Estate(settings={"dkp.connectionsPerAddress": 3})
    refused = [
        estate.refused(estate.drive().session().notify(), source=f"[2001:db8::{number:x}]:4000")
        for number in range(1, 6)
    ]
    assert refused == ["", "", "", "EE0F", "EE0F"]
    assert [record.actor for record in estate.disk.trail] == ["host 2001:db8::/64"]
    assert estate.refused(estate.drive().session().notify(), source="[2001:db8:0:1::1]:4000") == ""


def test_what_a_stranger_says_is_recorded_once_and_then_counted() -> None:
    estate = Estate(settings={"drive.acceptUnknownDrives": "false"})
    for port in range(50):
        estate.refused(estate.drive().session().notify(), source=f"10.0.0.1:{port}")
    (first,) = estate.disk.trail
    assert (first.event, first.actor, first.code, first.drive_serial) == (
        "drive.refuse",
        "host 10.0.0.1",
        "EF01",
        SERIAL,
    )
    estate.now += 60_000_000
    estate.disk.commit(estate.serving.expire())
    assert [record.count for record in estate.disk.trail] == [1, 49]
