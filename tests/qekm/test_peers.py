"""The owner of the estate's servers: who may be one, who is one, who calls whom."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qekm.errors import BadArgument, NotWaiting, PeerExists, PeerRefused, QekmError, UnknownPeer
from qekm.model import Peer, PeerState, Setting
from qekm.peers import APART, LAST_EPOCH, LIFE_US, Peers, address_at, apart_of, check_address, is_local

START_US = 1_800_000_000_000_000
OWN, OTHER, NEW = b"instanc1", b"instanc2", b"instanc3"


def first() -> Peers:
    """Return the first server of an estate that has founded it."""
    peers = Peers((), "server", OWN)
    peers.found("ekm1:443", 1, bytes(32), START_US)
    return peers


def pair(address: str = "ekm2:443") -> Peers:
    """Return the first server with a second one."""
    peers = first()
    peers.invite("b", address, START_US)
    peers.accept("b", OTHER, bytes(32), START_US)
    return peers


def test_an_estate_of_one_has_no_rows_and_nobody_else() -> None:
    peers = Peers((), "server", OWN)
    assert (list(peers), peers.own, peers.others, peers.became(2)) == ([], None, [], [])


def test_the_first_invitation_enters_the_inviting_server_too_and_the_second_does_not() -> None:
    peers = Peers((), "server", OWN)
    (own,) = peers.found("ekm1:443", 3, b"\1" * 32, START_US)
    assert (own.name, own.instance, own.epoch, own.state) == ("server", OWN, 3, PeerState.JOINED)
    assert peers.found("ekm1:443", 4, bytes(32), START_US) == []
    (again,) = peers.found("ekm9:443", 4, bytes(32), START_US)  # the first address was a mistake
    assert again == replace(own, address="ekm9:443")
    peers.take(Peer("b", "", b"b" * 8, 1, PeerState.JOINED, bytes(32), START_US, START_US))
    assert peers.found("ekm1:443", 4, bytes(32), START_US) == [], "others call it where it is"
    assert peers.own == again


def test_a_server_is_invited_then_joined() -> None:
    peers = first()
    invited = peers.invite("b", "ekm2:443", START_US)
    assert (invited.state, invited.instance, peers.others) == (PeerState.INVITED, b"", [])
    joined = peers.accept("b", OTHER, b"\2" * 32, START_US + 5)
    assert (joined.state, joined.instance, joined.spki_sha256) == (PeerState.JOINED, OTHER, b"\2" * 32)
    assert peers.others == [joined]
    assert [peer.name for peer in peers] == ["server", "b"]


@pytest.mark.parametrize("name", ["server", "b"])
def test_a_name_that_is_in_use_is_not_invited_again(name: str) -> None:
    with pytest.raises(PeerExists):
        pair().invite(name, "", START_US)


@pytest.mark.parametrize("name", ["", "a/b", " b"])
def test_what_is_no_name_is_not_invited(name: str) -> None:
    with pytest.raises(BadArgument):
        first().invite(name, "", START_US)


def test_an_invitation_ends_after_a_day_and_its_name_is_free_then() -> None:
    peers = first()
    peers.invite("b", "", START_US)
    with pytest.raises(PeerExists):
        peers.check_new("b", START_US + LIFE_US - 1)
    with pytest.raises(NotWaiting):
        peers.accept("b", OTHER, bytes(32), START_US + LIFE_US)
    peers.invite("b", "", START_US + LIFE_US)


def test_nobody_joins_twice_or_uninvited() -> None:
    peers = pair()
    with pytest.raises(NotWaiting):
        peers.accept("b", NEW, bytes(32), START_US)
    with pytest.raises(UnknownPeer):
        peers.accept("c", NEW, bytes(32), START_US)


def test_who_joined_later_calls_who_was_there_and_no_two_joined_at_the_same_time() -> None:
    peers = pair()
    peers.invite("c", "ekm3:443", START_US)
    peers.accept("c", NEW, bytes(32), START_US - 1_000)  # by a clock that was set back
    assert [peer.name for peer in peers] == ["server", "b", "c"]
    seen = {name: Peers(peers, name, OWN) for name in ("server", "b", "c")}
    calls = {(a, b) for a in seen for b in seen if a != b and seen[a].calls(b)}
    assert calls == {("b", "server"), ("c", "server"), ("c", "b")}
    assert [peers.is_primary(peer) for peer in peers] == [True, False, False]


def test_a_server_that_nobody_can_call_calls_those_that_came_later() -> None:
    peers = pair(address="")
    assert not peers.calls("b")
    assert Peers(peers, "b", OTHER).calls("server")
    peers.invite("c", "ekm3:443", START_US)
    peers.accept("c", NEW, bytes(32), START_US)
    assert Peers(peers, "b", OTHER).calls("c")
    assert not Peers(peers, "c", NEW).calls("b")


def test_a_removed_server_is_unknown_and_its_name_is_free() -> None:
    peers = pair()
    assert peers.remove("b").state is PeerState.REMOVED
    assert peers.others == []
    for act in (peers.find, peers.remove):
        with pytest.raises(UnknownPeer):
            act("b")
    assert peers.invite("b", "", START_US).state is PeerState.INVITED


def test_no_server_removes_itself() -> None:
    with pytest.raises(BadArgument):
        pair().remove("server")


def test_a_server_that_others_removed_has_nobody_to_talk_to() -> None:
    peers = pair()
    own = peers.own
    assert own is not None
    assert (peers.removal, Peers((), "server", OWN).removal) == ("", "")
    peers.take(replace(own, state=PeerState.REMOVED))
    assert (peers.others, own.state) == ([], PeerState.JOINED)
    assert "removed from the estate" in peers.removal
    with pytest.raises(PeerRefused):
        peers.greet("b", OTHER, 1)


def test_a_server_of_the_estate_is_greeted_and_a_new_epoch_of_it_noted() -> None:
    peers = pair()
    assert peers.greet("b", OTHER, 1) == []
    (row,) = peers.greet("b", NEW, 2)
    assert (row.instance, row.epoch, peers.find("b")) == (NEW, 2, row)
    assert peers.greet("b", NEW, 2) == []


@pytest.mark.parametrize(
    ("name", "instance", "epoch"),
    [("eve", NEW, 1), ("server", OWN, 1), ("b", OTHER, 1), ("b", OTHER, 2), ("c", b"", 1)],
    ids=["a stranger", "this very name", "an old epoch", "a copy", "only invited"],
)
def test_who_is_not_the_server_that_joined_is_refused(name: str, instance: bytes, epoch: int) -> None:
    peers = pair()
    peers.greet("b", NEW, 2)
    peers.invite("c", "", START_US)
    with pytest.raises(PeerRefused):
        peers.greet(name, instance, epoch)


@pytest.mark.parametrize("epoch", [1 << 62, LAST_EPOCH + 1])
def test_an_epoch_after_which_the_server_itself_could_not_come_is_refused(epoch: int) -> None:
    peers = pair()
    with pytest.raises(PeerRefused, match="which no server has"):
        peers.greet("b", NEW, epoch)
    assert peers.greet("b", OTHER, 1) == []


def test_a_restored_server_neither_calls_nor_hears_those_of_before_until_it_rejoins() -> None:
    rows = list(pair())
    (kept,) = apart_of(rows, OTHER)
    assert kept == Setting(APART, OWN.hex())
    restored = Peers(rows, "b", NEW, kept.value)
    assert not restored.calls("server")
    with pytest.raises(PeerRefused, match="b was restored and keeps apart") as caught:
        restored.greet("server", OWN, 1)
    assert "qekm peers rejoin" in caught.value.advice
    restored.invite("c", "ekm3:443", START_US)
    restored.accept("c", b"instanc4", bytes(32), START_US)
    assert restored.greet("c", b"instanc4", 1) == [], "a server that joined since is heard"
    assert restored.rejoin() == [Setting(APART, "")]
    assert restored.calls("server")
    assert restored.greet("server", OWN, 1) == []


def test_a_restored_server_that_was_alone_keeps_apart_from_nobody() -> None:
    assert apart_of((), OWN) == []
    assert apart_of(first(), OWN) == []


def test_the_own_address_follows_a_port_that_moved_unless_others_come_another_way() -> None:
    peers = pair()
    own = peers.own
    assert own is not None
    port = int(own.address.rpartition(":")[2])
    assert peers.moved(port + 1, 4443) == [] == peers.moved(0, 4443)
    (moved,) = peers.moved(port, 4443)
    assert moved == peers.own == replace(own, address=own.address.replace(f":{port}", ":4443"))
    assert Peers((), "server", OWN).moved(port, 4443) == []


def test_a_server_tells_its_own_new_epoch() -> None:
    rows: list[Peer] = list(pair())
    restored = Peers(rows, "server", NEW)
    (row,) = restored.became(2)
    assert (row.name, row.instance, row.epoch) == ("server", NEW, 2)
    assert restored.became(2) == []


@pytest.mark.parametrize("text", ["", "ekm1:443", "10.0.0.1:1", "[::1]:65535"])
def test_an_address_is_host_and_port_or_nothing(text: str) -> None:
    assert check_address(text, "address") == text


@pytest.mark.parametrize("text", ["ekm1", ":443", "ekm1:0", "ekm1:65536", "::1:443", "a\n:1", "x:4431234567"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(QekmError):
        check_address(text, "address")


def test_names_of_whoever_s_own_machine_are_told_apart() -> None:
    assert [is_local(host) for host in ("localhost", "127.0.0.9", "::1", "10.0.0.1", "ekm1")] == [
        *(True, True, True),
        *(False, False),
    ]
    assert (address_at("ekm1", 443), address_at("fd00::1", 443)) == ("ekm1:443", "[fd00::1]:443")
