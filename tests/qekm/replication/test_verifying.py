"""Rows of another server that cannot be any: refused, and nothing is changed by them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qekm.errors import BatchRefused
from qekm.model import Entry, Group, KeyState, OnExhaustion, Peer, PeerState, Removal
from qekm.peers import LAST_EPOCH
from qekm.store import Line
from qekm.store.shared import SHARED, TABLES
from tests.fakes.replicas import START_US, Replica, member
from tests.fakes.telling import Two

PEER = Peer("c", "ekm3:443", b"c" * 8, 1, PeerState.JOINED, bytes(32), 1, 1)
ALTERED: Sequence[tuple[dict[str, Any], str]] = (
    ({"check_value": b"\0\0\0\0"}, "does not verify"),
    ({"created_seq": 99}, "does not verify"),
    ({"sealed": b"\1\0\1" + bytes(60)}, "does not verify"),
    ({"sealed": b""}, "contradict"),
    ({"dki": b"QKM000000000"}, "DKi"),
    ({"alias": "x" * 40}, "DKi"),
    ({"assign_time_us": 5}, "was not"),
    ({"assign_time_us": -5}, "no key"),
    ({"assign_time_us": 1 << 62}, "no key"),
    ({"version": 1 << 62}, "no key"),
    ({"former": 3}, "contradict"),
    ({"destroy_time_us": 3}, "contradict"),
    ({"state": KeyState.DESTROY_PENDING, "destroy_time_us": 9, "former": 9}, "contradict"),
    ({"state": KeyState.DESTROYED}, "contradict"),
    ({"version": 1 << 63}, "another kind"),
    ({"group": 5}, "another kind"),
    ({"state": 77}, "no sense"),
)


@pytest.mark.parametrize(
    ("altered", "told"), ALTERED, ids=[f"{next(iter(each))}-{told}" for each, told in ALTERED]
)
def test_a_key_that_does_not_verify_is_refused_and_changes_nothing(
    two: Two, altered: dict[str, Any], told: str
) -> None:
    (key,) = two.here.keystore.generate(1, "refuses")
    values = SHARED["keys"].to_row(replace(key, **altered))
    line = Line(1, "keys", key.key_id, START_US, two.here.instance, False, values)
    before = len(two.there.keystore)
    with pytest.raises(BatchRefused, match=told) as refused:
        two.there.merging.take(line)
    assert key.key_id.hex() in refused.value.message
    assert len(two.there.keystore) == before
    whole = replace(line, values=SHARED["keys"].to_row(key))
    assert two.there.merging.take(whole), "it was for what was altered"


@pytest.mark.parametrize("stamp_us", [-1, 1 << 58, (1 << 63) - 1])
def test_a_time_after_which_nothing_could_be_changed_is_refused(two: Two, stamp_us: int) -> None:
    """Stamps are later than every one that was seen: after the last one there is no further one."""
    line = Line(1, "groups", "g", stamp_us, two.here.instance, False, ("g", 1, 0, 1))
    with pytest.raises(BatchRefused, match="its time is none"):
        two.there.merging.take(line)
    assert two.there.stamps.next() < 1 << 58


ROWS: Sequence[tuple[str, Any]] = (
    ("groups", Group("a\x1b[2J", OnExhaustion.REFUSE, False, 1)),
    ("groups", Group("", OnExhaustion.REFUSE, False, 1)),
    ("peers", replace(PEER, name="a\nb")),
    ("peers", replace(PEER, address="\x1b:1")),
    ("peers", replace(PEER, epoch=LAST_EPOCH + 1)),
    ("peers", replace(PEER, epoch=-1)),
)


@pytest.mark.parametrize(("table", "noun"), ROWS)
def test_a_name_that_steers_a_terminal_and_an_epoch_that_nobody_outlives_are_refused(
    two: Two, table: str, noun: Any
) -> None:
    values = SHARED[table].to_row(noun)
    line = Line(1, table, values[0], START_US, two.here.instance, False, values)
    with pytest.raises(BatchRefused) as refused:
        two.there.merging.take(line)
    assert refused.value.message.isprintable()
    good = replace(noun, name="good", **({"address": "h:1", "epoch": LAST_EPOCH} if table == "peers" else {}))
    values = SHARED[table].to_row(good)
    assert two.there.merging.take(Line(1, table, values[0], START_US, two.here.instance, False, values))


def test_a_key_of_a_group_that_cannot_be_is_refused(two: Two) -> None:
    (key,) = two.here.keystore.generate(1, "refuses")
    values = SHARED["keys"].to_row(replace(key, group="a\nb"))
    with pytest.raises(BatchRefused, match="group's name"):
        two.there.merging.take(Line(1, "keys", key.key_id, START_US, two.here.instance, False, values))
    assert not two.there.keystore.has(key.alias)


VALUES = st.one_of(st.integers(-(1 << 65), 1 << 65), st.text(max_size=9), st.binary(max_size=33), st.none())


@settings(max_examples=100, deadline=None)
@given(
    table=st.sampled_from([*SHARED, "settings", "x"]),
    values=st.lists(VALUES, max_size=19),
    stamp_us=st.integers(-2, 1 << 64),
    removed=st.booleans(),
)
def test_whatever_a_row_holds_it_is_taken_or_refused(
    table: str, values: list[Any], stamp_us: int, removed: bool
) -> None:
    server = any_server()
    line = Line(1, table, values[0] if values else b"", stamp_us, b"B" * 8, removed, tuple(values))
    try:
        changes = server.merging.take(line)
    except BatchRefused:
        return
    for change in changes:
        assert isinstance(change, Entry | Removal) or TABLES[type(change)] == table


@cache
def any_server() -> Replica:
    """Return one server for all examples."""
    generator = random.Random(1)
    return Replica("alfa", [member("alfa", 1, generator)], generator, lambda: START_US)
