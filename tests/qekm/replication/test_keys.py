"""Two versions of one key make one, in whatever order they meet, and nothing is lost on the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qekm.errors import KeyInUse, QekmError
from qekm.keystore import NEXT, Keystore, versions
from qekm.model import Key, KeyState
from qekm.replication.keys import RANKS, join, live
from qekm.sealing import KeyRing
from qekm.secret import Secret

S = KeyState
ROOT = Secret(bytes(range(32)))
RING = KeyRing(ROOT, bytes(16))
ALIAS = "QKM000A1B2C3D4E000000"
INSTANCES = (b"AAAAAAAA", b"BBBBBBBB")
BOXES = (b"\1\0\1" + bytes(12), b"\1\0\1" + bytes(11) + b"x", b"\1\0\2" + bytes(12))
MOUNTS = (("001", b"m1", "VOL1"), ("002", b"m2", "VOL2"))


@st.composite
def keys(draw: st.DrawFn) -> Key:
    """Any version of one key that a server may have: two identities, three boxes, small counts."""
    origin = draw(st.sampled_from(INSTANCES))
    state = draw(st.sampled_from(S))
    former = draw(st.sampled_from(sorted(RANKS.keys() - {S.DESTROYED}))) if state is S.DESTROY_PENDING else 0
    given_out = RANKS[S(former or state)] >= RANKS[S.ASSIGNED]
    time_us = draw(st.integers(0, 3)) if given_out else 0
    drive, mount, volser = draw(st.sampled_from(MOUNTS)) if time_us else ("", b"", "")
    ends = state in (S.DESTROY_PENDING, S.DESTROYED)
    gone = state is S.DESTROYED
    count, moves, keepings = (draw(st.integers(0, 2)) for _ in range(3))
    return Key(
        *(bytes(16), ALIAS, b"dki", INSTANCES.index(origin) + 1, 5, 1),
        b"" if gone else draw(st.sampled_from(BOXES)),
        b"" if gone else b"chk!",
        draw(st.sampled_from(("a", "b"))),
        state,
        count + (moves << 32) + (keepings << 48),
        time_us,
        drive or (draw(st.sampled_from(("", "001", "002"))) if given_out else ""),
        volser,
        mount,
        draw(st.integers(1, 3)) if ends else 0,
        int(former),
        origin,
    )


@settings(max_examples=400, deadline=None)
@given(keys(), keys(), keys())
def test_it_does_not_matter_who_meets_whom_first_or_how_often(a: Key, b: Key, c: Key) -> None:
    assert join(a, a) == a
    assert join(a, b) == join(b, a)
    assert join(join(a, b), c) == join(a, join(b, c))
    assert join(join(a, b), b) == join(a, b)


@settings(max_examples=200, deadline=None)
@given(st.lists(keys(), min_size=1, max_size=5))
def test_what_any_server_knows_all_know(found: list[Key]) -> None:
    joined = reduce(join, found)
    assert (joined.state is S.DESTROYED) == any(key.state is S.DESTROYED for key in found), "it is final"
    assert RANKS[live(joined)] == max(RANKS[live(key)] for key in found)
    assert joined.assign_time_us == max(key.assign_time_us for key in found), "the last mount is known"
    if joined.state is not S.DESTROYED:
        assert joined.sealed in {key.sealed for key in found if key.origin == joined.origin}
        assert joined.sealed[2] == max(key.sealed[2] for key in found if key.origin == joined.origin)
    assert joined.version >= max(key.version for key in found), "the store takes it"


def last_writer(a: Key, b: Key) -> Key:
    """Join as everything else is joined: the later version as a whole."""
    return max(a, b, key=lambda key: (key.version, int(key.state)))


def step_down(a: Key, b: Key) -> Key:
    """Take the version into the order of the states: it grows by joining too, and then one is no order."""
    later = max(a, b, key=lambda key: (RANKS[live(key)], key.version, int(key.state)))
    return replace(later, version=versions.latest(a.version, b.version))


@pytest.mark.parametrize("broken", [last_writer, step_down])
def test_the_laws_find_a_join_that_is_none(broken: Callable[[Key, Key], Key]) -> None:
    @settings(max_examples=5_000, deadline=None, database=None, derandomize=True)
    @given(keys(), keys(), keys())
    def holds(a: Key, b: Key, c: Key) -> None:
        assert broken(broken(a, b), c) == broken(a, broken(b, c))
        assert RANKS[live(broken(a, b))] == max(RANKS[live(a)], RANKS[live(b)])

    with pytest.raises(AssertionError):
        holds()


# What a server does to a key is a step up in the same order: else a stale row would take it back.


def change(store: Keystore, key: Key, act: int, time_us: int) -> None:
    """Do one of all things that a server can do to a key; KeyInUse."""
    mount = MOUNTS[time_us % 2]
    acts: list[Callable[[], object]] = [
        lambda: store.assign(key, time_us, mount),
        lambda: store.bind(key, mount[0]),
        lambda: store.move([key.alias], "b" if key.group == "a" else "a"),
        lambda: store.condemn([key.alias], 1_000 + time_us),
        lambda: store.keep([key.alias]),
        lambda: store.destroy_due(2_000, 1),
        lambda: store.reseal(1),
        lambda: store.protect(1 << 40),
        *(lambda state=state: store.mark(key, state) for state in MARKED),
    ]
    acts[act % len(acts)]()


# ASSIGNED comes with a mount only (assign), DESTROYED without material only (erase).
MARKED = [state for state in S if state not in (S.ASSIGNED, S.DESTROY_PENDING, S.DESTROYED)]
ACTS = 8 + len(MARKED)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, ACTS - 1), st.integers(1, 9)), max_size=40))
def test_every_change_is_a_step_up(acts: list[tuple[int, int]]) -> None:
    ring = KeyRing(ROOT, bytes(16))
    store = Keystore([], ring, lambda: 5, os.urandom, "0A1B2C3D4E", 1, S.GENERATED, INSTANCES[0])
    (first,) = store.generate(1, "a")
    ring.rotate(ROOT)
    history = [first]
    for act, time_us in acts:
        try:
            change(store, store.by_alias(first.alias), act, time_us)
        except QekmError:
            continue
        now = store.by_alias(first.alias)
        assert join(history[-1], now) == now, "no change is lost where the state before is still known"
        assert now == history[-1] or now.version > history[-1].version
        history.append(now)
    assert reduce(join, history) == history[-1]
    for few in permutations(history[-3:]):
        assert reduce(join, few) == history[-1]


def test_every_state_that_may_follow_is_no_lower() -> None:
    for state, following in NEXT.items():
        for after in following:
            if KeyState.DESTROY_PENDING not in (state, after):
                assert RANKS[after] >= RANKS[state]


# Single cases that the laws do not name.


def made(state: KeyState = S.READY, **more: object) -> Key:
    key = Key(bytes(16), ALIAS, b"dki", 1, 5, 1, BOXES[0], b"chk!", "a", state, 2, origin=INSTANCES[0])
    return replace(key, **more)  # type: ignore[arg-type]


def test_a_key_that_was_given_meanwhile_is_not_destroyed_for_having_been_unused() -> None:
    condemned = made(S.DESTROY_PENDING, former=int(S.READY), destroy_time_us=9, version=3)
    used = made(S.ACTIVE, assign_time_us=7, drive_serial="001", version=4)
    assert join(condemned, used) == used
    known = replace(condemned, former=int(S.ACTIVE), assign_time_us=7, drive_serial="001")
    assert join(known, used).state is S.DESTROY_PENDING
    assert join(known, used).former == S.ACTIVE


def test_a_destruction_that_was_called_off_stays_so_and_what_was_learnt_before_stays_known() -> None:
    condemned = made(S.DESTROY_PENDING, former=int(S.ACTIVE), assign_time_us=7, destroy_time_us=9)
    kept = replace(
        condemned, state=S.ACTIVE, former=0, destroy_time_us=0, version=versions.kept(condemned.version)
    )
    stolen = made(S.COMPROMISED, assign_time_us=7, version=9)
    assert join(kept, condemned) == kept
    assert join(condemned, stolen).former == S.COMPROMISED
    assert join(join(kept, stolen), condemned).state is S.COMPROMISED
    again = replace(condemned, version=kept.version + 1)
    assert join(kept, again).state is S.DESTROY_PENDING


def test_of_a_group_the_last_move_holds_whatever_else_happened() -> None:
    moved = made(group="b", version=versions.moved(2))
    given_out = made(S.ASSIGNED, group="a", assign_time_us=7, version=9)
    assert join(moved, given_out).group == "b"
    assert join(moved, given_out).state is S.ASSIGNED


def test_two_servers_that_take_the_same_key_in_have_one() -> None:
    stores = [
        Keystore([], KeyRing(ROOT, bytes(16)), lambda: 5, os.urandom, tag * 5, instance=instance)
        for tag, instance in zip(("AA", "BB"), INSTANCES, strict=True)
    ]
    stores[1].generate(3, "a")
    keys = [
        store.take_in(alias, Secret(bytes(32)), "a")
        for store, alias in zip(stores, ("Old1", "OLD1"), strict=True)
    ]
    assert keys[0].key_id == keys[1].key_id
    assert keys[0].created_seq != keys[1].created_seq
    joined = join(*keys)
    assert joined.origin == INSTANCES[0]
    for store in stores:
        store.take(joined)
        assert store.open(store.by_alias("old1")).reveal() == bytes(32)
    other = stores[0].take_in("OLD2", Secret(bytes(32)), "a")
    assert other.key_id != joined.key_id, "the alias is a part of it: it is in the box"


def test_only_its_own_pool_is_a_servers_to_give() -> None:
    first, second = (
        Keystore([], RING, lambda: 5, os.urandom, tag * 5, instance=instance)
        for tag, instance in zip(("AA", "BB"), INSTANCES, strict=True)
    )
    (key,) = first.generate(1, "a")
    second.take(key)
    assert second.next_ready("a") is None
    assert second.created_seq == key.created_seq, "its next one has a later number"
    with pytest.raises(KeyInUse, match="another server's pool"):
        second.assign(key, 7, MOUNTS[0])
    with pytest.raises(KeyInUse, match="another server's pool"):
        second.bind(key, "001")
    assert (second.counts("a")[S.READY], second.own_counts("a")[S.READY]) == (1, 0)
    given_out = first.assign(key, 7, MOUNTS[0])
    second.take(join(key, given_out))
    assert second.by_mount(MOUNTS[0]) == given_out
    assert second.assign(given_out, 8, MOUNTS[0]).assign_time_us == 8, "a retry gets the same key anywhere"
