"""What servers of one estate prove to each other and hand over, and nobody else can."""

from __future__ import annotations

import pytest

from qekm.errors import StoreDamaged
from qekm.model import Key, KeyState
from qekm.sealing import KeyRing
from qekm.secret import Secret

ROOT = bytes(range(32))
ESTATE = b"an estate's id.."


def test_a_record_key_is_handed_over_to_a_server_of_the_estate_and_to_nobody_else() -> None:
    root = Secret(ROOT)
    one, other = KeyRing(root, ESTATE, versions=(1, 2)), KeyRing(root, ESTATE)
    sealed = one.wrap_record(2)
    other.adopt_record(2, sealed)
    assert (other.version, other.versions) == (2, {1, 2})
    box = one.seal_key(Secret(b"m" * 32), b"i" * 16, "QKM0000000000000001", 1, 1)
    key = Key(
        b"i" * 16,
        "QKM0000000000000001",
        b"",
        1,
        1,
        1,
        box,
        one.check_value(Secret(b"m" * 32)),
        "g",
        KeyState.READY,
        1,
    )
    with other.open_key(key) as material:
        assert material.reveal() == b"m" * 32
    for ring in (KeyRing(Secret(b"x" * 32), ESTATE), KeyRing(root, b"another estate..")):
        with pytest.raises(StoreDamaged):
            ring.adopt_record(2, sealed)
        assert ring.versions == {1}
    with pytest.raises(StoreDamaged):
        other.adopt_record(3, sealed)
    for place in range(len(sealed)):
        flipped = bytearray(sealed)
        flipped[place] ^= 1
        with pytest.raises(StoreDamaged):
            other.adopt_record(2, bytes(flipped))


def test_only_servers_of_an_estate_make_the_same_macs_and_no_two_messages_have_one() -> None:
    ring = KeyRing(Secret(ROOT), ESTATE)
    macs = {
        ring.peer_mac("a", "b"),
        ring.peer_mac("ab"),
        ring.peer_mac(b"a", "b"),
        ring.peer_mac("a", "b", None),
    }
    macs |= {
        KeyRing(Secret(b"x" * 32), ESTATE).peer_mac("a", "b"),
        KeyRing(Secret(ROOT), b"other").peer_mac("a", "b"),
    }
    assert len(macs) == 6
    assert ring.peer_mac("a", "b") == KeyRing(Secret(ROOT), ESTATE).peer_mac("a", "b")
