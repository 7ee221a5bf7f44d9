"""Sessions: whose they are, how long they last, and what ends them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import pytest

from qekm.errors import PasswordNeeded
from qekm.sessions import LENGTH, MOST, Sessions

ESTATE = bytes(range(16))
ALICE, BOB = "administrator/alice", "operator/bob"


@dataclass
class Lobby:
    """Sessions, their clock, and how long they last."""

    now_s: float = 1_000.0
    minutes: int = 15
    owner: Sessions = field(init=False)

    def __post_init__(self) -> None:
        """Open."""
        self.owner = Sessions(ESTATE, lambda: self.minutes, lambda: self.now_s, os.urandom)

    def is_open(self, actor: str, value: bytes) -> bool:
        """Tell whether a session is good."""
        try:
            self.owner.check(actor, value)
        except PasswordNeeded:
            return False
        return True


@pytest.fixture
def lobby() -> Lobby:
    return Lobby()


def test_a_session_is_good_for_whom_it_was_opened_and_nobody_else(lobby: Lobby) -> None:
    value = lobby.owner.open(ALICE, "aa")
    assert len(value) == LENGTH == 32
    assert lobby.is_open(ALICE, value)
    # Another person, another name of the role, another role of the name, another spelling, half of it, none.
    for actor in (BOB, "administrator/bob", "custodian/alice", "administrator/alicE", "administrator", ""):
        assert not lobby.is_open(actor, value)
    for other in (value[:-1], value + b"\0", b"", bytes(32)):
        assert not lobby.is_open(ALICE, other)


def test_a_session_of_one_estate_is_none_of_another(lobby: Lobby) -> None:
    value = lobby.owner.open(ALICE, "aa")
    other = Sessions(bytes(16), lambda: 15, lambda: lobby.now_s, lambda _: value)
    mine = Sessions(ESTATE, lambda: 15, lambda: lobby.now_s, lambda _: value)
    assert other.open(ALICE, "aa") == mine.open(ALICE, "aa") == value
    assert other.check(ALICE, value) != mine.check(ALICE, value) == lobby.owner.check(ALICE, value)


def test_it_lasts_as_long_as_the_property_says_when_it_is_used(lobby: Lobby) -> None:
    value = lobby.owner.open(ALICE, "aa")
    place = lobby.owner.check(ALICE, value)
    lobby.now_s += 15 * 60 - 1
    assert lobby.owner.left_s(ALICE, value) == lobby.owner.left_of(place) == 1
    lobby.minutes = 5
    assert not lobby.is_open(ALICE, value)
    lobby.minutes = 15
    assert lobby.is_open(ALICE, value)
    lobby.now_s += 2
    assert not lobby.is_open(ALICE, value)
    assert lobby.owner.left_of(place) == lobby.owner.left_of(b"nowhere") == 0


def test_a_session_that_is_open_is_never_made_longer(lobby: Lobby) -> None:
    value = lobby.owner.open(ALICE, "aa")
    lobby.minutes = 1_440
    assert lobby.owner.left_s(ALICE, value) == 15 * 60
    lobby.now_s += 15 * 60
    assert not lobby.is_open(ALICE, value)
    assert lobby.owner.left_s(ALICE, lobby.owner.open(ALICE, "aa")) == 1_440 * 60


def test_use_does_not_make_it_longer(lobby: Lobby) -> None:
    value = lobby.owner.open(ALICE, "aa")
    for _ in range(14):
        lobby.now_s += 60
        assert lobby.is_open(ALICE, value)
    lobby.now_s += 60
    assert not lobby.is_open(ALICE, value)


def test_each_end_ends_what_it_says_and_is_told(lobby: Lobby) -> None:
    ended = list[bytes]()
    lobby.owner.watch(ended.append)
    first, second = lobby.owner.open(ALICE, "aa"), lobby.owner.open(ALICE, "bb")
    third, bobs = lobby.owner.open(ALICE, "bb"), lobby.owner.open(BOB, "cc")
    places = [lobby.owner.check(ALICE, value) for value in (first, second, third)]
    lobby.owner.end(BOB, first)  # not his
    assert lobby.is_open(ALICE, first) and not ended
    lobby.owner.end(ALICE, first)
    assert not lobby.is_open(ALICE, first) and lobby.is_open(ALICE, second)
    lobby.owner.end_of("cc")
    assert not lobby.is_open(BOB, bobs) and lobby.is_open(ALICE, second)
    lobby.owner.end_all(ALICE)
    assert not lobby.is_open(ALICE, second) and not lobby.is_open(ALICE, third)
    assert [place for place in ended if place in places] == places
    lobby.owner.end_all(ALICE)
    lobby.owner.end_of("aa")
    lobby.owner.end(ALICE, first)
    assert len(ended) == 4


def test_the_oldest_of_one_person_gives_way_to_the_newest(lobby: Lobby) -> None:
    bobs = lobby.owner.open(BOB, "cc")
    opened = [lobby.owner.open(ALICE, "aa") for _ in range(MOST + 3)]
    assert [lobby.is_open(ALICE, value) for value in opened] == [False] * 3 + [True] * MOST
    assert lobby.is_open(BOB, bobs)


def test_nothing_that_could_be_sent_is_kept(lobby: Lobby) -> None:
    value = lobby.owner.open(ALICE, "aa")
    assert lobby.is_open(ALICE, value)
    assert all(value not in place for place in lobby.owner._sessions)


def test_what_is_refused_is_told_without_a_word_of_it(lobby: Lobby) -> None:
    for value in (b"", os.urandom(32)):
        with pytest.raises(PasswordNeeded) as caught:
            lobby.owner.check(ALICE, value)
        assert caught.value.details == {"account": ALICE}
        assert not value or value.hex() not in str(caught.value)
