"""Groups, and the choice of the key that a drive gets for writing."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest

from qekm.allocator import POOL, Allocator
from qekm.errors import (
    BadArgument,
    GroupExists,
    GroupInUse,
    KeyInUse,
    KeyNotAllowed,
    PoolEmpty,
    QekmError,
    UnknownGroup,
    UnknownKey,
)
from qekm.keystore import Keystore
from qekm.model import Drive, DriveState, Group, Key, KeyState, OnExhaustion, Removal
from qekm.sealing import KeyRing
from qekm.secret import Secret

RING = KeyRing(Secret(bytes(32)), bytes(16))


def estate(policy: OnExhaustion = OnExhaustion.REFUSE, keys: int = 3) -> tuple[Allocator, Keystore]:
    store = Keystore([], RING, lambda: 5, os.urandom, "0A1B2C3D4E")
    store.generate(keys, "default")
    groups = [Group("default", policy, True, 1), Group("other", OnExhaustion.REFUSE, False, 1)]
    return Allocator(groups, store, lambda: 5), store


def drive(**entry: Any) -> Drive:
    return Drive("1", DriveState.ACCEPTED, 1, **entry)


def use(store: Keystore, key: Key, mount: int) -> Key:
    store.assign(key, mount, (str(mount), b"", ""))
    return store.mark(key, KeyState.ACTIVE)


def test_the_oldest_never_used_key_of_the_default_group_is_chosen() -> None:
    allocator, store = estate()
    chosen = []
    for mount in range(3):
        key = allocator.choose(None)
        assert key is allocator.choose(drive())
        chosen.append(key.alias[-1])
        use(store, key, mount)
    assert chosen == ["0", "1", "2"]
    with pytest.raises(PoolEmpty):
        allocator.choose(None)


def test_a_drives_own_group_comes_before_the_default() -> None:
    allocator, store = estate()
    (key,) = store.generate(1, "other")
    assert allocator.choose(drive(group="other")) is key
    with pytest.raises(UnknownGroup):
        allocator.choose(drive(group="gone"))


def test_a_group_that_never_held_a_key_is_unknown_not_used_up() -> None:
    allocator, _ = estate()
    with pytest.raises(UnknownKey):
        allocator.choose(drive(group="other"))


def test_used_keys_come_again_in_turn_only_where_the_policy_says_so() -> None:
    allocator, store = estate(OnExhaustion.REUSE)
    turns = []
    for mount in range(8):
        key = allocator.choose(None)
        turns.append(key.alias[-1])
        use(store, key, mount)
    assert turns == list("01201201")
    store.generate(1, "default")
    assert allocator.choose(None).state is KeyState.READY  # never used comes first


def test_a_suspect_key_is_not_reused() -> None:
    allocator, store = estate(OnExhaustion.REUSE, 2)
    store.mark(store.assign(allocator.choose(None), 1, ("1", b"", "")), KeyState.SUSPECT)
    store.assign(allocator.choose(None), 1, ("1", b"", ""))
    with pytest.raises(PoolEmpty):
        allocator.choose(None)


def test_a_drives_own_key_is_chosen_mount_after_mount() -> None:
    allocator, store = estate()
    alias = store.page()[2].alias
    own = drive(alias=alias.lower())
    assert allocator.choose(own).alias == alias
    use(store, allocator.choose(own), 1)
    assert allocator.choose(own).alias == alias
    with pytest.raises(UnknownKey):
        allocator.choose(drive(alias="gone"))


def test_a_key_that_an_entry_names_is_not_given_in_turn() -> None:
    allocator, store = estate(OnExhaustion.REUSE, keys=2)
    first, second = store.page()
    for mount, key in enumerate((first, second)):
        use(store, key, mount)
    assert allocator.choose(None).alias == first.alias
    assert allocator.choose(None, lambda alias: alias == first.alias.lower()).alias == second.alias
    with pytest.raises(PoolEmpty):
        allocator.choose(None, lambda _alias: True)


def test_a_drives_own_key_that_may_only_read_is_not_chosen() -> None:
    _, store = estate()
    (key,) = store.generate(1, "other")
    restored = Keystore([replace(key, state=KeyState.QUARANTINED)], RING, lambda: 5, os.urandom, "0A1B2C3D4E")
    allocator = Allocator([], restored, lambda: 5)
    with pytest.raises(KeyInUse):
        allocator.choose(drive(alias=key.alias))


def test_a_drive_gets_keys_of_its_allowed_groups_only() -> None:
    allocator, store = estate()
    alias = store.page()[0].alias
    assert allocator.choose(drive(allowed_groups=("default",)))
    for refused in (drive(allowed_groups=("other",)), drive(allowed_groups=("other",), alias=alias)):
        with pytest.raises(KeyNotAllowed):
            allocator.choose(refused)


def test_a_new_default_takes_the_mark_from_the_old_one() -> None:
    allocator, _ = estate()
    changes = allocator.update("other", is_default=True)
    assert [(group.name, group.is_default) for group in changes if isinstance(group, Group)] == [
        ("other", True),
        ("default", False),
    ]
    assert allocator.default().name == "other"
    assert not allocator.find("default").is_default


def test_the_first_group_is_the_default() -> None:
    allocator = Allocator([], estate()[1], lambda: 7)
    with pytest.raises(UnknownGroup):
        allocator.default()
    assert allocator.create("a", OnExhaustion.REFILL) == [Group("a", OnExhaustion.REFILL, True, 7)]
    assert allocator.create("b", OnExhaustion.REFILL) == [Group("b", OnExhaustion.REFILL, False, 7)]
    assert [group.name for group in allocator.page("a")] == ["b"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("", BadArgument),
        ("a b", BadArgument),
        ("ä", BadArgument),
        ("a" * 65, BadArgument),
        ("other", GroupExists),
    ],
)
def test_a_group_needs_a_name_of_its_own(name: str, error: type[QekmError]) -> None:
    with pytest.raises(error):
        estate()[0].create(name, OnExhaustion.REFILL)


def test_a_group_in_use_stays() -> None:
    allocator, store = estate()
    with pytest.raises(GroupInUse):
        allocator.delete("default")
    with pytest.raises(GroupInUse):
        allocator.delete("other", in_use=True)
    with pytest.raises(GroupInUse):
        allocator.update("default", is_default=False)
    (key,) = store.generate(1, "other")
    with pytest.raises(GroupInUse):
        allocator.delete("other")
    assert [moved.group for moved in allocator.move([key.alias], "default") if isinstance(moved, Key)] == [
        "default"
    ]
    assert allocator.delete("other") == [Removal(Group, "other")]
    with pytest.raises(UnknownGroup):
        allocator.find("other")


def test_keys_move_only_into_a_group_that_exists() -> None:
    allocator, store = estate()
    with pytest.raises(UnknownGroup):
        allocator.move([store.page()[0].alias], "gone")


def test_a_policy_is_changed_and_the_rest_stays() -> None:
    allocator, _ = estate()
    (group,) = allocator.update("default", OnExhaustion.REUSE)
    assert group == Group("default", OnExhaustion.REUSE, True, 1)


def test_a_group_is_filled_up_again_when_four_fifths_are_used() -> None:
    allocator, store = estate(OnExhaustion.REFILL, 10)
    for mount in range(7):
        use(store, allocator.choose(None), mount)
    assert allocator.needs_refill("default") == 0
    use(store, allocator.choose(None), 8)
    assert allocator.counts("default") == (10, 2)
    assert allocator.needs_refill("default") == 8
    store.generate(8, "default")
    assert allocator.needs_refill("default") == 0


def test_a_pool_does_not_grow_with_what_was_used_over_the_years() -> None:
    allocator, store = estate(OnExhaustion.REFILL, 3_000)
    for mount in range(2_900):
        use(store, allocator.choose(None), mount)
    assert allocator.needs_refill("default") == POOL - 100


def test_only_a_group_with_keys_and_that_policy_is_refilled() -> None:
    allocator, _ = estate(OnExhaustion.REUSE, 1)
    allocator.update("other", OnExhaustion.REFILL)
    assert allocator.needs_refill("default") == allocator.needs_refill("other") == 0


def test_a_group_of_keys_that_nothing_new_is_written_with_is_an_archive() -> None:
    allocator, store = estate(keys=2)
    assert allocator.is_archive("other")
    assert not allocator.is_archive("default")
    with Secret(bytes(32)) as material:
        store.take_in("OLD1", material, "other")
    assert allocator.is_archive("other")
    for key in store.page(group="default"):
        used = use(store, key, 1)
        assert not allocator.is_archive("default")
        store.retire([used.alias], KeyState.PROCESS_ONLY)
    assert allocator.is_archive("default")


def test_a_group_is_low_when_four_fifths_are_used_unless_it_reuses() -> None:
    allocator, store = estate(OnExhaustion.REFUSE, 10)
    for mount in range(7):
        use(store, allocator.choose(None), mount)
    assert not allocator.is_low("default")
    use(store, allocator.choose(None), 8)
    assert allocator.is_low("default")
    allocator.update("default", OnExhaustion.REUSE)
    assert not allocator.is_low("default")
    assert not allocator.is_low("other"), "it never held a key"


def test_an_archive_is_low_only_where_a_drive_would_be_given_its_keys() -> None:
    allocator, store = estate()
    store.take_in("ABC0", Secret(bytes(32)), "other")
    assert allocator.is_archive("other")
    assert not allocator.is_low("other", lambda _name: False)
    assert allocator.is_low("other", lambda name: name == "other")
    store.generate(1, "other")
    assert not allocator.is_archive("other")


# Groups to be preferred (drive.default.alias1 and 2).


def test_preferred_groups_come_in_their_order_and_then_the_default() -> None:
    allocator, store = estate()
    (key,) = store.generate(1, "other")
    allocator.prefer(["", "gone", "other", "default"])
    assert allocator.choose(None) is allocator.choose(drive()) is key
    use(store, key, 1)
    assert allocator.choose(None).group == "default"
    for mount in range(2, 5):
        use(store, allocator.choose(None), mount)
    with pytest.raises(PoolEmpty) as empty:
        allocator.choose(None)
    assert empty.value.details["group"] == "other", "the first that was wanted is the one to fill up"
    allocator.prefer([])
    with pytest.raises(PoolEmpty) as empty:
        allocator.choose(None)
    assert empty.value.details["group"] == "default"


def test_what_an_entry_names_comes_before_what_is_preferred() -> None:
    allocator, store = estate()
    allocator.create("own", OnExhaustion.REFUSE)
    (preferred,) = store.generate(1, "other")
    (own,) = store.generate(1, "own")
    allocator.prefer(["other"])
    assert allocator.choose(drive(group="own")) is own
    assert allocator.choose(drive(alias=own.alias)) is own
    use(store, own, 1)
    with pytest.raises(PoolEmpty):
        allocator.choose(drive(group="own"))
    assert allocator.choose(drive(allowed_groups=("default",))).group == "default"
    assert allocator.choose(drive(allowed_groups=("other",))) is preferred
    with pytest.raises(KeyNotAllowed):
        allocator.choose(drive(allowed_groups=("own",)))


def test_a_preferred_group_is_not_deleted_and_told_of_when_it_is_low() -> None:
    allocator, store = estate()
    allocator.prefer(["other"])
    with pytest.raises(GroupInUse, match="alias1"):
        allocator.delete("other")
    (key,) = store.generate(1, "other")
    store.mark(use(store, key, 1), KeyState.PROCESS_ONLY)
    assert allocator.is_low("other", lambda _name: False)
    allocator.prefer([])
    assert not allocator.is_low("other", lambda _name: False), "an archive is nobody's"
