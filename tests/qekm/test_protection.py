"""Where else a key must be before it is used: at a peer, in a backup, in both, or nowhere."""

from __future__ import annotations

import os
from itertools import product

import pytest

from qekm.keystore import Keystore
from qekm.model import Key, KeyState, Setting
from qekm.protection import NAME, Protection
from qekm.sealing import KeyRing
from qekm.secret import Secret

RING = KeyRing(Secret(bytes(32)), bytes(16))
INSTANCE = bytes.fromhex("0102030405060708")
OTHER = bytes.fromhex("1102030405060708")


class Site:
    """Ten new keys, and where they are."""

    def __init__(self, asked: str, joined: bool = True, in_backups: int = 0, remembered: str = "") -> None:
        state = KeyState.READY if asked == "none" else KeyState.GENERATED
        self.keystore = Keystore((), RING, lambda: 5, os.urandom, "0A1B2C3D4E", 1, state)
        self.joined = joined
        is_joined = lambda: self.joined  # noqa: E731
        self.protection = Protection(self.keystore, asked, in_backups, is_joined, INSTANCE, remembered)
        self.keystore.generate(10, "default")

    @property
    def ready(self) -> int:
        """How many keys may be used."""
        self.protection.due()
        return self.keystore.counts()[KeyState.READY]


@pytest.mark.parametrize(
    ("asked", "joined", "in_backups", "at_peer", "ready"),
    [
        ("auto", False, 4, 7, 4),
        ("auto", True, 4, 7, 7),
        ("peer", True, 4, 7, 7),
        ("peer", False, 4, 0, 0),
        ("backup", True, 4, 7, 4),
        ("peer+backup", True, 4, 7, 4),
        ("peer+backup", True, 7, 4, 4),
        ("peer+backup", True, 7, 0, 0),
        ("none", True, 0, 0, 10),
    ],
)
def test_a_key_is_ready_where_it_is_wanted_and_nowhere_else(
    asked: str, joined: bool, in_backups: int, at_peer: int, ready: int
) -> None:
    site = Site(asked, joined)
    site.protection.backed_up(in_backups)
    site.protection.held(at_peer)
    assert site.ready == ready


def test_what_is_known_never_becomes_less() -> None:
    for first, second in product((3, 6), repeat=2):
        site = Site("peer")
        site.protection.held(first)
        site.protection.held(second)
        assert site.ready == max(first, second)


def test_with_auto_the_first_peer_and_the_last_one_change_what_counts() -> None:
    site = Site("auto", joined=False)
    site.protection.held(8)
    assert site.ready == 0
    site.joined = True
    assert (site.protection.place, site.ready) == ("peer", 8)
    site.joined = False
    site.protection.backed_up(9)
    assert (site.protection.place, site.ready) == ("backup", 9)


def test_at_most_so_many_at_a_time_in_the_order_of_their_making() -> None:
    site = Site("peer")
    site.protection.held(7)
    parts = []
    while part := site.protection.due(3):
        parts.append([change.created_seq for change in part if isinstance(change, Key)])
    assert parts == [[1, 2, 3], [4, 5, 6], [7]]


def test_what_a_peer_had_is_remembered_over_a_start_and_of_this_instance_only() -> None:
    site = Site("peer")
    site.protection.held(6)
    (remembered,) = [each for each in site.protection.due() if isinstance(each, Setting)]
    assert remembered == Setting(NAME, f"{INSTANCE.hex()} 6")
    for text, usable in ((remembered.value, 6), (f"{OTHER.hex()} 6", 0), ("", 0), ("?", 0)):
        keys = [each for each in site.keystore if each.state is KeyState.READY]
        again = Keystore(keys, RING, lambda: 5, os.urandom, "0A1B2C3D4E", 1, KeyState.GENERATED)
        Protection(again, "peer", 0, lambda: True, INSTANCE, text)
        taken = 0
        while key := again.next_ready("default"):
            again.assign(key, 5, ("D", b"", ""))
            taken += 1
        assert taken == usable


def test_backups_are_known_by_their_rows_and_not_remembered() -> None:
    site = Site("backup")
    assert not any(isinstance(each, Setting) for each in site.protection.backed_up(6))


def test_backups_count_when_no_peer_was_there_for_long_and_few_keys_are_left() -> None:
    site = Site("peer")
    site.protection.backed_up(5)
    assert not site.protection.substitute(is_away=False, is_low=True)
    assert not site.protection.substitute(is_away=True, is_low=False)
    assert site.ready == 0
    assert site.protection.lines() == ()
    assert site.protection.substitute(is_away=True, is_low=True)
    assert site.ready == 5
    assert site.protection.lines() == (
        "no peer is there: new keys are in backups only (keystore.protect=peer)",
    )
    assert not site.protection.substitute(is_away=True, is_low=False), "till a peer is back"
    site.protection.backed_up(6)
    assert site.ready == 6
    assert site.protection.substitute(is_away=False, is_low=False)
    site.protection.backed_up(7)
    assert site.ready == 6


def test_where_no_peer_is_wanted_none_is_missed() -> None:
    for site in (Site("backup"), Site("auto", joined=False), Site("none")):
        assert not site.protection.substitute(is_away=True, is_low=True)
        assert site.protection.lines() == ()


def test_that_a_peer_is_wanted_and_none_is_joined_is_told() -> None:
    told = "keystore.protect=peer+backup, and no peer is joined: new keys are not given out"
    assert Site("peer+backup", joined=False).protection.lines() == (told,)
