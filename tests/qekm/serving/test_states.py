"""Every state of a key against every way of asking for one: the whole matrix, as data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qekm.model import AuditRecord, Drive, DriveState, Key, KeyState, OnExhaustion
from tests.fakes.drive import ACQUIRE, TRANSLATE
from tests.fakes.estate import START_US, Estate, Refused

SERIAL, MOUNT, VOLSER = "001300000392", bytes(range(16)), "E01001L4"
WAYS = ("create", "read", "retry", "own", "reuse")
# For each way the code of the refusal, "" where the key is given.
MATRIX = {
    #                          create  read    retry   own     reuse
    KeyState.GENERATED:       ("EE34", "",     "EE34", "EE31", "EE34"),
    KeyState.READY:           ("",     "",     "",     "",     ""),
    KeyState.ASSIGNED:        ("EE34", "",     "",     "",     "EE34"),
    KeyState.ACTIVE:          ("EE34", "",     "",     "",     ""),
    KeyState.SUSPECT:         ("EE34", "",     "",     "",     "EE34"),
    KeyState.QUARANTINED:     ("EE34", "",     "EE34", "EE31", "EE34"),
    KeyState.PROCESS_ONLY:    ("EE34", "",     "EE34", "EE31", "EE34"),
    KeyState.COMPROMISED:     ("EE34", "",     "EE34", "EE31", "EE34"),
    KeyState.DESTROY_PENDING: ("EE34", "EE31", "EE34", "EE31", "EE34"),
    KeyState.DESTROYED:       ("EE34", "EE31", "EE34", "EE31", "EE34"),
}  # fmt: skip
CELLS = [(state, way) for state in MATRIX for way in WAYS]
TEXTS = {
    KeyState.DESTROY_PENDING: "the key is to be destroyed on 2027-01-16",
    KeyState.DESTROYED: "the key was destroyed",
}


def holding(state: KeyState, policy: OnExhaustion = OnExhaustion.REFUSE) -> tuple[Estate, Key]:
    """Return an estate whose only key is in a state, as a mount of our drive left it if one had it."""
    estate = Estate(keys=1, policy=policy)
    (key,) = estate.disk.keys.values()
    if state not in (KeyState.GENERATED, KeyState.READY):
        key = replace(key, assign_time_us=5, drive_serial=SERIAL, mount_id=MOUNT, volser=VOLSER)
    if state is KeyState.DESTROY_PENDING:
        key = replace(key, destroy_time_us=START_US + 86_400_000_000, former=int(KeyState.ACTIVE))
    if state is KeyState.DESTROYED:
        key = replace(key, sealed=b"", check_value=b"", destroy_time_us=START_US)
    key = estate.disk.keys[key.alias] = replace(key, state=state)
    estate.build()
    return estate, key


def ask(state: KeyState, way: str, frozen: str = "") -> tuple[Estate, Key, str, str]:
    """Ask for the key; return what there is then, the code of a refusal and its text."""
    estate, key = holding(state, OnExhaustion.REUSE if way == "reuse" else OnExhaustion.REFUSE)
    if way == "own":
        estate.disk.drives[SERIAL] = Drive(SERIAL, DriveState.ACCEPTED, 1, alias=key.alias)
        estate.build()
    if frozen:
        estate.keystore.freeze(frozen)
    said = {"volser": VOLSER, "mount_id": MOUNT if way == "retry" else b""}
    if way == "read":
        said |= {"ask": TRANSLATE, "dki": key.dki}  # type: ignore[dict-item]
    session = estate.drive(SERIAL).session(**said)
    try:
        estate.give(session)
    except Refused as refused:
        return estate, key, refused.fault.code.name, refused.fault.text
    assert session.alias == key.alias
    assert session.data_key == estate.keystore.open(key).reveal()
    return estate, key, "", ""


def test_every_state_is_in_the_matrix() -> None:
    assert set(MATRIX) == set(KeyState)


@pytest.mark.parametrize(("state", "way"), CELLS, ids=[f"{state.name}-{way}" for state, way in CELLS])
def test_a_key_is_given_exactly_where_the_matrix_says(state: KeyState, way: str) -> None:
    estate, key, code, text = ask(state, way)
    assert code == MATRIX[state][WAYS.index(way)]
    if way == "read" and code:
        assert text == TEXTS[state]
    now = estate.keystore.by_alias(key.alias)
    if code:
        assert now == key, "what is refused stays as it is"
        assert estate.disk.keys[key.alias] == key
    elif way == "read":
        never = {
            KeyState.GENERATED: KeyState.QUARANTINED,
            KeyState.READY: KeyState.SUSPECT,  # a drive has it now
        }
        assert now.state is never.get(state, state)
    else:
        assert now.state is (KeyState.ACTIVE if state is KeyState.ACTIVE else KeyState.ASSIGNED)


@pytest.mark.parametrize(("state", "way"), CELLS, ids=[f"{state.name}-{way}" for state, way in CELLS])
def test_a_store_that_may_be_an_old_copy_gives_nothing_for_writing_and_is_read_as_before(
    state: KeyState, way: str
) -> None:
    estate, key, code, text = ask(state, way, frozen="its anchor has seen commit 9")
    given = not MATRIX[state][WAYS.index(way)]
    if way == "read":
        assert (code == "") is given
    elif given:
        assert (code, text) == ("EE34", "no new keys are given: its anchor has seen commit 9")
        assert estate.keystore.by_alias(key.alias) == key
    else:
        assert code


@pytest.mark.parametrize("ask_for", [TRANSLATE, ACQUIRE])
def test_a_compromised_key_serves_reads_and_every_record_says_so(ask_for: int) -> None:
    estate, key = holding(KeyState.COMPROMISED)
    estate.give(estate.drive(SERIAL).session(ask=ask_for, dki=key.dki))
    (record,) = estate.disk.units[-1]
    assert isinstance(record, AuditRecord)
    assert (record.event, record.alias, record.message) == ("key.serve", key.alias, "the key is COMPROMISED")


def test_a_key_that_is_kept_for_a_drive_is_read_from_an_old_copy_too() -> None:
    estate = Estate(keys=1)
    (key,) = estate.disk.keys.values()
    estate.disk.commit([estate.keystore.bind(key, SERIAL)])
    estate.keystore.freeze("an old copy")
    session = estate.give(estate.drive("2").session(ask=TRANSLATE, dki=key.dki))
    assert session.alias == key.alias
    assert estate.disk.keys[key.alias].state is KeyState.SUSPECT


def test_a_key_that_was_condemned_while_a_drive_had_it_is_not_called_back_by_its_confirmation() -> None:
    estate, key = holding(KeyState.ACTIVE, OnExhaustion.REUSE)
    session = estate.give(estate.drive(SERIAL).session(mount_id=bytes(16)))
    estate.disk.commit(estate.keystore.condemn([key.alias], START_US + 5))
    session.take(estate.ask(session.status()))
    assert estate.disk.keys[key.alias].state is KeyState.DESTROY_PENDING
    assert estate.disk.keys[key.alias].destroy_time_us == START_US + 5
    assert estate.disk.cartridges[-1].alias == key.alias, "what was written with it is on record"
