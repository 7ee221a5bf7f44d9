"""The data keys: found, opened, made, and never led back to where they could be given out again."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from qekm.dkp.names import MAX_COUNTER, alias_to_dki
from qekm.errors import KeyInUse, StoreDamaged, UnknownKey
from qekm.keystore import Keystore
from qekm.model import Key, KeyState
from qekm.sealing import KeyRing
from qekm.secret import Secret

TAG = "0A1B2C3D4E"
RING = KeyRing(Secret(bytes(32)), bytes(16))
MOUNT = ("001300000392", bytes(16), "E01001L4")
NO_MOUNT = ("001300000392", b"", "E01001L4")


def keystore(keys: list[Key] | None = None, tag: str = TAG) -> Keystore:
    return Keystore(keys or [], RING, lambda: 5, os.urandom, tag)


def test_generated_keys_are_named_in_order_and_ready() -> None:
    store = keystore()
    keys = store.generate(3, "default")
    assert [key.alias for key in keys] == [f"QKM00{TAG}00000{n}" for n in range(3)]
    assert [key.created_seq for key in keys] == [1, 2, 3]
    assert all(key.state is KeyState.READY and key.create_time_us == 5 for key in keys)
    assert len(store) == 3


def test_no_two_keys_share_id_material_or_seal() -> None:
    store = keystore()
    keys = store.generate(50, "default")
    assert len({key.key_id for key in keys}) == 50
    assert len({store.open(key).reveal() for key in keys}) == 50
    assert len({key.sealed for key in keys}) == 50


def test_a_restart_goes_on_with_the_next_number() -> None:
    keys = keystore().generate(3, "default")
    (following,) = keystore(keys).generate(1, "default")
    assert (following.alias[-6:], following.created_seq) == ("000003", 4)


def test_keys_of_another_server_do_not_move_the_counter() -> None:
    others = keystore(tag="FFFFFFFFFF").generate(9, "default")
    assert keystore(others).generate(1, "default")[0].alias == f"QKM00{TAG}000000"


def test_after_the_last_number_another_tag_is_drawn() -> None:
    alias = f"QKM00{TAG}{MAX_COUNTER:06X}"
    (key,) = keystore().generate(1, "default")
    last = replace(key, alias=alias, dki=alias_to_dki(alias))
    following = keystore([last]).generate(2, "default")
    assert following[0].alias[:15] == following[1].alias[:15] != alias[:15]
    assert [key.alias[-6:] for key in following] == ["000000", "000001"]


def test_a_key_is_found_by_alias_and_by_dki_in_any_case() -> None:
    store = keystore()
    (key,) = store.generate(1, "default")
    assert store.by_alias(key.alias.lower()) is store.by_alias(key.alias) is store.by_dki(key.dki) is key
    assert store.by_dki(b"qkm" + key.dki[3:]) is key
    for other in (key.dki[:-1] + b"\xff", key.dki[:3] + b"\1" + key.dki[4:], key.dki[:-1], b"", bytes(12)):
        assert store.by_dki(other) is None
    with Secret(bytes(32)) as material:
        short = store.take_in("ArchiveKey7", material, "default")
    assert store.by_dki(b"archivekey7\0") is store.by_dki(b"ARCHIVEKEY7\0") is short
    assert store.by_dki(b"archivekey7 ") is None
    with pytest.raises(UnknownKey):
        store.by_alias("QKM000000000000000000")


def test_two_keys_whose_aliases_differ_in_case_only_cannot_exist() -> None:
    (key,) = keystore().generate(1, "default")
    alias = "qkm" + key.alias[3:]
    with pytest.raises(StoreDamaged):
        keystore([key, replace(key, alias=alias, dki=alias_to_dki(alias))])


def test_a_dki_that_is_not_its_aliass_is_damage() -> None:
    (key,) = keystore().generate(1, "default")
    with pytest.raises(StoreDamaged):
        keystore([replace(key, dki=bytes(12))])


def test_a_key_whose_row_was_altered_does_not_open() -> None:
    store = keystore()
    (key,) = store.generate(1, "default")
    assert len(store.open(key).reveal()) == 32
    for altered in (
        replace(key, sealed=bytes((key.sealed[0] ^ 1,)) + key.sealed[1:]),
        replace(key, check_value=bytes(4)),
        replace(key, created_seq=2),
    ):
        with pytest.raises(StoreDamaged):
            store.open(altered)


def test_a_destroyed_key_does_not_open() -> None:
    (key,) = keystore().generate(1, "default")
    with pytest.raises(UnknownKey):
        keystore().open(replace(key, state=KeyState.DESTROYED))


def test_the_next_ready_key_is_the_oldest_and_stays_until_it_is_taken() -> None:
    store = keystore()
    first, second = store.generate(2, "default")
    assert store.next_ready("default") is store.next_ready("default") is first
    given = store.assign(first, 9, MOUNT)
    assert (given.state, given.assign_time_us, given.version) == (KeyState.ASSIGNED, 9, 2)
    assert (given.drive_serial, given.mount_id, given.volser) == MOUNT
    assert store.next_ready("default") is second
    store.assign(second, 9, NO_MOUNT)
    assert store.next_ready("default") is None
    assert store.next_ready("nowhere") is None


def test_a_key_that_was_given_out_is_never_ready_again() -> None:
    for way in ([], [KeyState.SUSPECT], [KeyState.ACTIVE], [KeyState.SUSPECT, KeyState.ACTIVE]):
        store = keystore()
        (key,) = store.generate(1, "default")
        key = store.assign(key, 9, MOUNT)
        for state in way:
            key = store.mark(key, state)
        with pytest.raises(KeyInUse):
            store.mark(key, KeyState.READY)
        with pytest.raises(KeyInUse):
            store.mark(key, KeyState.GENERATED)
        assert store.next_ready("default") is None


def test_a_change_is_made_to_the_key_as_it_is_now() -> None:
    store = keystore()
    (old,) = store.generate(1, "default")
    store.assign(old, 9, MOUNT)
    assert store.mark(old, KeyState.SUSPECT).mount_id == MOUNT[1]
    assert store.by_alias(old.alias).version == 3


def test_a_mount_finds_its_key_as_long_as_it_may_have_it_again() -> None:
    store = keystore()
    (key,) = store.generate(1, "default")
    assert store.by_mount(MOUNT) is None
    store.assign(key, 9, MOUNT)
    for state in (KeyState.SUSPECT, KeyState.ACTIVE):
        marked = store.mark(key, state)
        assert store.by_mount(MOUNT) is marked
    assert store.by_mount((*MOUNT[:2], "OTHER")) is None
    assert store.by_mount(("2", *MOUNT[1:])) is None
    store.assign(key, 10, ("2", bytes(16), ""))
    assert store.by_mount(MOUNT) is None


def test_a_restart_knows_the_mounts_and_the_order_of_use() -> None:
    store = keystore()
    keys = store.generate(3, "default")
    for time_us, key in zip((30, 10, 20), keys, strict=True):
        store.assign(key, time_us, (str(time_us), bytes(16), ""))
        store.mark(key, KeyState.ACTIVE)
    again = keystore([store.by_alias(key.alias) for key in keys])
    found = again.by_mount(("10", bytes(16), ""))
    assert found is not None
    assert found.alias == keys[1].alias
    turns = []
    for _ in range(4):
        following = again.next_used("default", lambda _alias: False)
        assert following is not None
        turns.append(following.alias)
        again.assign(following, 40, NO_MOUNT)
    assert turns == [keys[place].alias for place in (1, 2, 0, 1)]


def test_never_used_keys_move_and_used_ones_stay() -> None:
    store = keystore()
    first, second, third = store.generate(3, "default")
    moved = store.move([second.alias.lower(), second.alias], "other")
    assert [key.alias for key in moved] == [second.alias]
    assert store.next_ready("other") is moved[0]
    store.assign(first, 9, MOUNT)
    with pytest.raises(KeyInUse):
        store.move([third.alias, first.alias], "other")
    assert store.next_ready("default") is third  # all or none
    with pytest.raises(UnknownKey):
        store.move(["nothing at all"], "other")


def test_a_key_that_moved_away_and_back_is_given_out_once() -> None:
    store = keystore()
    first, second = store.generate(2, "default")
    store.move([first.alias], "other")
    store.move([first.alias], "default")
    key = store.next_ready("default")
    assert key is not None
    store.assign(key, 9, MOUNT)
    assert store.next_ready("default") is second


def test_counts_follow_every_change() -> None:
    store = keystore()
    first, second, _ = store.generate(3, "default")
    store.generate(2, "other")
    store.mark(store.assign(first, 9, MOUNT), KeyState.ACTIVE)
    store.assign(second, 9, NO_MOUNT)
    counts = store.counts()
    assert {state: count for state, count in counts.items() if count} == {
        KeyState.READY: 3,
        KeyState.ACTIVE: 1,
        KeyState.ASSIGNED: 1,
    }
    assert store.counts("other")[KeyState.READY] == 2
    assert not any(store.counts("nowhere").values())
    assert [key.alias for key in store.in_state(KeyState.ASSIGNED)] == [second.alias]


def test_pages_are_in_alias_order_and_go_on_where_they_stopped() -> None:
    store = keystore()
    keys = store.generate(5, "default")
    store.move([keys[1].alias], "other")
    aliases = [key.alias for key in keys]
    assert [key.alias for key in store.page(limit=2)] == aliases[:2]
    assert [key.alias for key in store.page(aliases[1].lower(), 10)] == aliases[2:]
    assert [key.alias for key in store.page(group="other")] == [aliases[1]]
    assert store.page(state=KeyState.ACTIVE) == []
    store.generate(1, "default")
    assert len(store.page()) == 6


def test_nothing_but_keeping_calls_a_destruction_off() -> None:
    store = keystore()
    (key,) = store.generate(1, "default")
    store.mark(store.assign(key, 9, MOUNT), KeyState.ACTIVE)
    store.condemn([key.alias], 100)
    for state in KeyState:
        if state is not KeyState.DESTROYED:
            with pytest.raises(KeyInUse):
                store.retire([key.alias], state)
    assert store.by_alias(key.alias).destroy_time_us == 100
    (kept,) = store.keep([key.alias])
    assert (kept.state, kept.destroy_time_us, kept.former) == (KeyState.ACTIVE, 0, 0)
    assert store.by_mount(MOUNT) is kept, "it is what it was before"
    with pytest.raises(KeyInUse):
        store.keep([key.alias])


def test_a_key_that_is_kept_for_a_drive_can_end_and_one_under_way_to_a_drive_cannot() -> None:
    store = keystore()
    kept, given = store.generate(2, "default")
    store.bind(kept, MOUNT[0])
    store.assign(given, 9, MOUNT)
    (pending,) = store.condemn([kept.alias], 100)
    assert pending.former == KeyState.ASSIGNED
    (back,) = store.keep([kept.alias])
    assert (back.state, back.drive_serial, back.assign_time_us) == (KeyState.ASSIGNED, MOUNT[0], 0)
    assert store.retire([kept.alias], KeyState.COMPROMISED)[0].state is KeyState.COMPROMISED
    with pytest.raises(KeyInUse):
        store.condemn([given.alias], 100)
    with pytest.raises(KeyInUse):
        store.retire([given.alias], KeyState.COMPROMISED)


def test_a_key_that_was_ready_without_a_backup_waits_for_one_once_that_is_the_rule() -> None:
    owner = keystore()
    keys = owner.generate(3, "default")
    owner.bound(1)
    assert owner.next_ready("default") == keys[0]
    owner.assign(keys[0], 1, ("D", b"m", "V"))
    assert owner.next_ready("default") is None
    owner.protect(keys[1].created_seq)
    assert owner.next_ready("default") == keys[1]
