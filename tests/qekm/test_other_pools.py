"""Keys of other servers: they are here, are read here, and are not given out here."""

from __future__ import annotations

import os

import pytest

from qekm.errors import KeyInUse, PoolEmpty
from qekm.keystore import Keystore
from qekm.model import KeyState, OnExhaustion
from qekm.sealing import KeyRing
from qekm.secret import Secret
from tests.fakes.drive import TRANSLATE
from tests.fakes.estate import ESTATE, ROOT, Estate
from tests.qekm.test_allocator import RING, drive, estate, use


def test_a_server_makes_a_pool_of_its_own_beside_another_ones() -> None:
    allocator, store = estate(OnExhaustion.REFILL, 0)
    theirs = Keystore([], RING, lambda: 5, os.urandom, "FFFFFFFFFF", instance=b"other...").generate(
        10, "default"
    )
    store.take(theirs[0])
    assert allocator.needs_refill("default") == 1
    store.generate(1, "default")
    for key in theirs[1:]:
        store.take(key)
    assert allocator.needs_refill("default") == 9, "they came while the first was made"


def test_a_server_without_keys_of_its_own_gives_none() -> None:
    allocator, store = estate(OnExhaustion.REFILL, 0)
    other = Keystore([], RING, lambda: 5, os.urandom, "FFFFFFFFFF", instance=b"other...")
    for key in other.generate(10, "default"):
        store.take(key)
    assert allocator.counts("default") == (10, 0)
    with pytest.raises(PoolEmpty):
        allocator.choose(None)
    assert allocator.is_others("default")
    assert allocator.needs_refill("default") == 10, "as many as the others have"
    store.generate(10, "default")
    assert not allocator.is_others("default")
    assert allocator.counts("default") == (20, 10)
    assert allocator.needs_refill("default") == 0
    for mount in range(8):
        use(store, allocator.choose(None), mount)
    assert allocator.needs_refill("default") == 8, "its pool is as large as what it made"


def test_used_keys_of_another_server_come_in_turn_too_where_the_policy_says_so() -> None:
    allocator, store = estate(OnExhaustion.REUSE, 0)
    other = Keystore([], RING, lambda: 5, os.urandom, "FFFFFFFFFF", instance=b"other...")
    key = use(other, other.generate(1, "default")[0], 1)
    store.take(key)
    assert allocator.choose(None) == key
    assert store.assign(key, 9, ("2", b"", "")).drive_serial == "2"


def test_a_key_in_anothers_pool_is_bound_there_and_not_here() -> None:
    allocator, store = estate()
    other = Keystore([], RING, lambda: 5, os.urandom, "FFFFFFFFFF", instance=b"other...")
    (key,) = other.generate(1, "default")
    store.take(key)
    with pytest.raises(KeyInUse, match="another server's pool"):
        allocator.bind(drive(alias=key.alias))
    store.take(other.bind(key, "1"))
    assert allocator.choose(drive(alias=key.alias)).alias == key.alias


@pytest.mark.parametrize("bound", [False, True])
def test_a_key_that_another_server_gave_and_has_not_told_of_yet_is_read_and_leaves_the_pool(
    bound: bool,
) -> None:
    running = Estate()
    other = Keystore(
        [], KeyRing(Secret(ROOT), ESTATE), lambda: 5, os.urandom, "FFFFFFFFFF", instance=b"other..."
    )
    (key,) = other.generate(1, "default")
    if bound:
        key = other.bind(key, "001300000392")
    running.disk.commit([running.keystore.take(key)])
    session = running.drive().session(ask=TRANSLATE, dki=key.dki)
    running.give(session)
    assert running.keystore.by_alias(key.alias).state is (KeyState.SUSPECT if bound else KeyState.QUARANTINED)
