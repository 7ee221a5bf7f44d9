"""A session's order, its ends, and a restart."""

from __future__ import annotations

import pytest

from qekm.dkp.codes import Fault
from qekm.dkp.fields import MessageType
from qekm.dkp.frame import build
from qekm.model import Drive, DriveState, KeyState
from tests.fakes.drive import TRANSLATE
from tests.fakes.estate import Estate, Refused


def test_an_error_goes_by_the_servers_own_sequence_whatever_the_bad_frame_said() -> None:
    estate = Estate()
    decision = estate.decide(estate.drive().session(ask=0).notify())
    assert (decision.session_id, decision.sequence) == (0, 2)
    session = estate.begin(estate.drive().session())
    good = session.reply_dsk()
    decision = estate.decide(build(good.type, good.session_id, 77, good.tlvs))
    assert isinstance(decision.reply, Fault)
    assert (decision.session_id, decision.sequence) == (session.session_id, 4)
    session = estate.give(estate.drive().session())
    decision = estate.decide(session.status(confirm=False))
    assert (decision.session_id, decision.sequence) == (session.session_id, 6)


@pytest.mark.parametrize("kind", [kind for kind in MessageType if kind not in (0x01, 0x02)])
def test_a_message_that_is_not_due_is_ee2d_and_ends_the_session(kind: MessageType) -> None:
    estate = Estate()
    session = estate.begin(estate.drive().session())
    good = session.reply_dsk()
    assert estate.refused(build(kind, good.session_id, good.sequence, good.tlvs)) == "EE2D"
    assert estate.refused(good) == "EE2D"


def test_each_state_takes_its_own_message_only() -> None:
    estate = Estate()
    dki = estate.keystore.page()[0].dki
    session = estate.begin(estate.drive().session(ask=TRANSLATE))
    session.take(estate.ask(session.reply_dsk()))
    assert estate.refused(session.status(confirm=False)) == "EE2D"
    session = estate.give(estate.drive().session())
    assert estate.refused(session.reply_dki(dki)) == "EE2D"


def test_a_frame_through_another_gateway_is_ee2d_and_harms_nobody() -> None:
    estate = Estate()
    session = estate.begin(estate.drive().session())
    frame = session.reply_dsk()
    assert estate.refused(frame, gateway="g2") == "EE2D"
    assert estate.refused(frame) == ""


def test_a_frame_is_taken_once() -> None:
    estate = Estate()
    session = estate.begin(estate.drive().session())
    frame = session.reply_dsk()
    session.take(estate.ask(frame))
    assert estate.refused(frame) == "EE2D"


def test_nothing_follows_a_complete_session() -> None:
    estate = Estate()
    session = estate.give(estate.drive().session())
    status = session.status()
    estate.ask(status)
    assert estate.refused(status) == "EE2D"
    assert len(estate.serving._sessions) == 0
    assert not estate.serving._desk.latest


def test_a_session_takes_two_minutes_and_no_more() -> None:
    estate = Estate()
    session = estate.begin(estate.drive().session())
    estate.now += 120_000_000 - 1
    assert estate.refused(session.reply_dsk()) == ""
    session = estate.begin(estate.drive().session())
    estate.now += 120_000_000
    assert estate.refused(session.reply_dsk()) == "EE2D"


def test_a_session_that_took_too_long_is_ee0e_and_its_new_key_suspect() -> None:
    estate = Estate()
    session = estate.give(estate.drive().session())
    estate.now += 120_000_000
    estate.disk.commit(estate.serving.expire())
    assert estate.disk.events()[1:] == ["session.end FAILURE", "key.suspect FAILURE"]
    assert estate.disk.trail[1].code == "EE0E"
    assert estate.disk.keys[session.alias].state is KeyState.SUSPECT
    assert estate.serving.expire() == ()


def test_a_session_that_its_gateway_ended_leaves_a_new_key_suspect() -> None:
    estate = Estate()
    session = estate.give(estate.drive().session())
    assert estate.serving.end(session.session_id, 0xEE0E, "closed", gateway="g2") == ()
    estate.disk.commit(estate.serving.end(session.session_id, 0xEE0E, "closed", gateway="g1"))
    assert estate.disk.keys[session.alias].state is KeyState.SUSPECT
    assert estate.serving.end(session.session_id, 0xEE0E, "closed") == ()
    assert estate.refused(session.status()) == "EE2D"


def test_a_readers_session_that_ended_changes_no_key() -> None:
    estate = Estate()
    dki = estate.keystore.page()[0].dki
    session = estate.give(estate.drive().session(ask=TRANSLATE, dki=dki))
    key = estate.keystore.by_dki(dki)
    assert key is not None
    estate.disk.commit(estate.serving.end(session.session_id, 0xEE0E, "closed"))
    assert estate.keystore.by_alias(key.alias) is key


def test_a_strangers_session_that_ended_is_counted() -> None:
    estate = Estate()
    for _ in range(5):
        session = estate.begin(estate.drive().session())
        estate.disk.commit(estate.serving.end(session.session_id, 0xEE0E, "closed"))
    assert [(record.actor, record.code) for record in estate.disk.trail] == [("host 10.0.0.1", "EE0E")]


def test_a_session_that_just_ended_leaves_no_record() -> None:
    estate = Estate()
    session = estate.begin(estate.drive().session())
    assert estate.serving.end(session.session_id, 0, "") == ()


def test_after_a_restart_every_key_in_mid_session_is_suspect_and_no_session_goes_on() -> None:
    estate = Estate()
    session = estate.give(estate.drive().session())
    done = estate.run(estate.drive("2").session())
    estate.restart()
    assert estate.disk.keys[session.alias].state is KeyState.SUSPECT
    assert estate.disk.keys[done.alias].state is KeyState.ACTIVE
    assert estate.disk.events()[-1] == "key.suspect FAILURE"
    assert estate.refused(session.status()) == "EE2D"


def test_a_key_that_an_entry_names_is_kept_for_its_drive_over_a_restart() -> None:
    estate = Estate(keys=1)
    (key,) = estate.keystore.page()
    estate.disk.commit(estate.registry.create(Drive("1", DriveState.ACCEPTED, 1, alias=key.alias)))
    estate.restart()  # a store of before entries took their keys out of the pool
    estate.restart()
    kept = estate.keystore.by_alias(key.alias)
    assert (kept.state, kept.drive_serial) == (KeyState.ASSIGNED, "1")
    assert not estate.disk.trail
    with pytest.raises(Refused) as refused:
        estate.give(estate.drive("2").session())
    assert refused.value.fault.code.name == "EE34"
    assert estate.run(estate.drive("1").session()).alias == key.alias
    assert estate.keystore.by_alias(key.alias).state is KeyState.ACTIVE


def test_a_kept_key_that_another_drive_read_by_its_name_is_not_written_with() -> None:
    estate = Estate(keys=1)
    (key,) = estate.keystore.page()
    (drive,) = estate.registry.create(Drive("1", DriveState.ACCEPTED, 1, alias=key.alias))
    assert isinstance(drive, Drive)
    estate.disk.commit([drive, *estate.allocator.bind(drive)])
    estate.run(estate.drive("2").session(ask=TRANSLATE, dki=key.dki))
    assert estate.keystore.by_alias(key.alias).state is KeyState.SUSPECT
    with pytest.raises(Refused) as refused:
        estate.give(estate.drive("1").session())
    assert refused.value.fault.code.name == "EE31"
