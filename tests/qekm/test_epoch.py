"""A new epoch: rules of the keys, the pools that are made, as numbers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import pytest

from qekm.epoch import Past, turn
from qekm.keystore import NEXT, Keystore
from qekm.model import Group, Key, KeyState, OnExhaustion, Setting
from qekm.sealing import KeyRing
from qekm.secret import Secret
from qekm.store import Snapshot

ESTATE = bytes(range(16))
RING = KeyRing(Secret(os.urandom(32)), ESTATE)
REFILL = Group("default", OnExhaustion.REFILL, True, 1)


def found(keys: Sequence[Key], *groups: Group) -> Snapshot:
    """Return a store that holds these."""
    return Snapshot(list(keys), list(groups or [REFILL]), [], [], [], [], {}, {}, *([] for _ in range(9)))


def keys(count: int, group: str = "default", state: KeyState = KeyState.READY) -> list[Key]:
    """Return keys of a store."""
    made = Keystore((), RING, lambda: 5, os.urandom, os.urandom(5).hex()).generate(count, group)
    return [replace(key, state=state) for key in made]


def turned(past: Past, number: int = 2) -> tuple[dict[str, Key], list[Setting], int]:
    """Return the keys as they are afterwards, the settings, and how many keys were made."""
    epoch = turn(number, past, KeyState.GENERATED, lambda: 7, os.urandom)
    changed = {change.alias: change for change in epoch.changes if isinstance(change, Key)}
    settings = [change for change in epoch.changes if isinstance(change, Setting)]
    assert epoch.made == sum(key.epoch == number for key in changed.values())
    return {key.alias: key for key in past.found.keys} | changed, settings, epoch.made


EXPECTED = {
    KeyState.GENERATED: KeyState.QUARANTINED,
    KeyState.READY: KeyState.QUARANTINED,
    KeyState.ASSIGNED: KeyState.SUSPECT,
    KeyState.DESTROY_PENDING: KeyState.ACTIVE,
}


@pytest.mark.parametrize("state", KeyState)
def test_what_becomes_of_a_key_of_every_state(state: KeyState) -> None:
    (key,) = keys(1, state=state)
    if state is KeyState.DESTROY_PENDING:
        key = replace(key, former=KeyState.ACTIVE.value, destroy_time_us=6)
    after, _, _ = turned(Past(found([key]), RING))
    expected = EXPECTED.get(state, state)
    assert after[key.alias].state is expected
    assert KeyState.READY not in NEXT[expected]


def test_a_destruction_that_may_have_been_called_off_since_is_called_off() -> None:
    used, unused, gone = [
        replace(key, former=former.value, destroy_time_us=6)
        for key, former in zip(
            keys(3, state=KeyState.DESTROY_PENDING),
            (KeyState.PROCESS_ONLY, KeyState.READY, KeyState.ACTIVE),
            strict=True,
        )
    ]
    past = Past(found([used, unused, gone]), RING, [gone.key_id])
    after, _, _ = turned(past)
    states = [after[key.alias].state for key in (used, unused, gone)]
    assert states == [KeyState.PROCESS_ONLY, KeyState.QUARANTINED, KeyState.DESTROYED]
    assert after[used.alias].destroy_time_us == after[used.alias].former == 0
    epoch = turn(2, past, KeyState.READY, lambda: 7, os.urandom)
    assert (epoch.kept, epoch.erased) == (2, 1)
    assert "of 2 the destruction is called off" in str(epoch)


def test_a_tombstone_ends_a_key_of_any_state_and_one_that_is_gone_already_is_left() -> None:
    kept, ready, active = keys(3)
    active = replace(active, state=KeyState.ACTIVE)
    (gone,) = keys(1, state=KeyState.DESTROYED)
    gone = replace(gone, sealed=b"")
    ids = [ready.key_id, active.key_id, gone.key_id, os.urandom(16)]
    after, settings, _ = turned(Past(found([kept, ready, active, gone]), RING, ids))
    assert after[ready.alias].state is after[active.alias].state is KeyState.DESTROYED
    assert after[ready.alias].sealed == after[active.alias].sealed == b""
    assert after[kept.alias].sealed == kept.sealed
    assert after[gone.alias] == gone
    assert Setting("store.unerased", "yes") in settings
    assert Setting("store.unerased", "yes") not in turned(Past(found([kept]), RING))[1]


def test_each_pool_is_as_large_as_it_was_or_as_it_may_be() -> None:
    archive = Group("archive", OnExhaustion.REFUSE, False, 1)
    empty = Group("empty", OnExhaustion.REFILL, False, 1)
    stored = [*keys(30), *keys(7, "archive"), *keys(9, "archive", KeyState.ACTIVE)]
    used = keys(1_100, "default", KeyState.ACTIVE)
    after, _, made = turned(Past(found([*stored, *used], REFILL, archive, empty), RING))
    groups = [key.group for key in after.values() if key.epoch == 2]
    assert (groups.count("default"), groups.count("archive"), groups.count("empty")) == (1_024, 7, 0)
    assert made == 1_031


def test_the_tag_the_epoch_and_that_nothing_is_behind_are_written() -> None:
    settings = {change.name: change.value for change in turned(Past(found([]), RING), 5)[1]}
    assert settings.keys() == {"keystore.tag", "keystore.epoch", "store.behind", "server.instance"}
    assert (settings["keystore.epoch"], settings["store.behind"]) == ("5", "")
    assert len(settings["keystore.tag"]) == 10


def test_what_is_in_the_pool_of_another_server_stays_its_own_to_give() -> None:
    own, other = keys(2)
    own, other = replace(own, origin=b"own....."), replace(other, origin=b"other...")
    past = Past(replace(found([own, other]), settings={"server.instance": b"own.....".hex()}), RING)
    after, settings, _ = turned(past)
    assert after[own.alias].state is KeyState.QUARANTINED
    assert after[other.alias] == other
    instance = bytes.fromhex(next(each.value for each in settings if each.name == "server.instance"))
    assert {key.origin for key in after.values() if key.epoch == 2} == {instance}
    assert instance not in (own.origin, other.origin)
