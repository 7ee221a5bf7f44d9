"""The slots: found, opened, added, replaced, and never all removed."""

from __future__ import annotations

import os
import secrets
from itertools import combinations

import pytest

from qekm.errors import BadArgument, BadPassword, BadShares, LastSlot, SlotExists, TooMany, UnknownSlot
from qekm.model import Removal, Slot
from qekm.sealing import Cost, KeySealer, PasswordSealer, Sealer, SharesSealer, split
from qekm.secret import Secret
from qekm.slots import MOST, Slots, opened

QUICK = Cost(64, 1, 1)


def password(text: str = "") -> PasswordSealer:
    """Return a password's sealer that takes no time."""
    return PasswordSealer(Secret((text or secrets.token_hex(8)).encode()), cost=QUICK)


def key() -> KeySealer:
    """Return the sealer of a new key file."""
    return KeySealer(Secret(os.urandom(32)))


def kept(**sealers: Sealer) -> tuple[Slots, bytes]:
    """Return slots of these names and sealers, underlines as hyphens, and their root key."""
    root = os.urandom(32)
    slots = Slots((), lambda: 7)
    for name, sealer in sealers.items():
        slots.add(slots.made(name.replace("_", "-"), sealer, Secret(root)))
    return slots, root


def test_each_slot_alone_opens_the_keystore() -> None:
    mnemonics = split(3, 5)
    sealers: dict[str, Sealer] = {"key_file": key(), "password": password()}
    sealers["shares"] = SharesSealer(mnemonics)
    slots, root = kept(**sealers)
    for name, sealer in sealers.items():
        found, opened_root = opened(slots.sealed(), sealer)
        assert (found, opened_root.reveal()) == (name.replace("_", "-"), root)
    for some in combinations(mnemonics, 3):
        assert opened(slots.sealed(), SharesSealer(some))[1].reveal() == root
    for few in combinations(mnemonics, 2):
        with pytest.raises(BadShares, match="1 more is missing"):
            SharesSealer(few)


def test_what_opens_no_slot_is_told_from_what_there_is_no_slot_for() -> None:
    slots, _ = kept(key_file=key(), password=password())
    with pytest.raises(BadPassword):
        opened(slots.sealed(), password())
    with pytest.raises(UnknownSlot, match="no slot of kind shares; there is key-file, password"):
        opened(slots.sealed(), SharesSealer(split()))
    with pytest.raises(UnknownSlot, match="no slot of kind password; there is key-file"):
        opened(slots.sealed(but="password"), password())


def test_of_several_slots_of_one_kind_the_right_one_is_found() -> None:
    sealers = {f"password{n}": password() for n in range(4)}
    slots, root = kept(**sealers)
    for name, sealer in sealers.items():
        found, opened_root = opened(slots.sealed(), sealer)
        assert (found, opened_root.reveal()) == (name, root)
        with pytest.raises(BadPassword):
            opened(slots.sealed(but=name), sealer)


def test_slots_are_listed_by_name_with_kind_and_time() -> None:
    slots, _ = kept(zebra=key(), password=password(), apple=key())
    assert [(slot.name, slot.kind, slot.create_time_us) for slot in slots] == [
        ("apple", "key-file", 7),
        ("password", "password", 7),
        ("zebra", "key-file", 7),
    ]
    assert slots.find("zebra").kind == "key-file"
    with pytest.raises(UnknownSlot, match="no slot 'lion'") as caught:
        slots.find("lion")
    assert caught.value.details == {"slot": "lion"}


@pytest.mark.parametrize("name", ["", "Upper", "a b", "-a", "a" * 33, "ä", "a/b", "a\n", "a\0"])
def test_what_is_no_name_is_refused(name: str) -> None:
    slots, _ = kept(password=password())
    with pytest.raises(BadArgument, match="1 to 32"):
        slots.check_new(name)


def test_a_name_is_taken_once_and_there_are_not_too_many() -> None:
    slots, _ = kept(password=password())
    with pytest.raises(SlotExists):
        slots.add(Slot("password", b"", "password", 1))
    for number in range(MOST - 1):
        slots.add(Slot(f"s{number}", b"", "key-file", 1))
    with pytest.raises(TooMany, match=str(MOST)):
        slots.check_new("one-more")


def test_a_removed_slot_opens_nothing_and_its_name_is_free() -> None:
    first = key()
    slots, _ = kept(key_file=first, password=password())
    assert slots.remove("key-file") == Removal(Slot, "key-file")
    with pytest.raises(UnknownSlot):
        opened(slots.sealed(), first)
    with pytest.raises(UnknownSlot):
        slots.remove("key-file")
    slots.check_new("key-file")


def test_the_last_slot_stays_and_so_does_the_last_one_that_a_start_can_use() -> None:
    slots, _ = kept(key_file=key(), password=password(), shares=SharesSealer(split()))
    slots.remove("password")
    with pytest.raises(LastSlot, match="start with"):
        slots.remove("key-file")
    slots.remove("shares")
    with pytest.raises(LastSlot, match="nothing could open"):
        slots.remove("key-file")
    assert [slot.name for slot in slots] == ["key-file"]


def test_a_replaced_slot_opens_with_the_new_only() -> None:
    old, new = password(), password()
    slots, root = kept(password=old)
    slots.replace(slots.made("password", new, Secret(root)))
    assert opened(slots.sealed(), new)[1].reveal() == root
    with pytest.raises(BadPassword):
        opened(slots.sealed(), old)
    with pytest.raises(UnknownSlot):
        slots.replace(Slot("lion", b"", "password", 1))


def test_a_new_password_takes_the_place_of_the_one_that_is_meant() -> None:
    slots, _ = kept(key_file=key(), mine=password())
    assert slots.password(slots.find("key-file")) == "mine"
    assert slots.password(slots.find("mine")) == "mine"
    slots.add(Slot("other", b"", "password", 1))
    assert slots.password(slots.find("mine")) == "mine"
    with pytest.raises(UnknownSlot, match="several"):
        slots.password(slots.find("key-file"))
    slots.add(Slot("password", b"", "password", 1))
    assert slots.password(slots.find("key-file")) == "password"
    alone, _ = kept(key_file=key())
    with pytest.raises(UnknownSlot, match="no password"):
        alone.password(alone.find("key-file"))


def test_a_password_that_may_not_be_set_makes_no_slot() -> None:
    slots, root = kept(key_file=key())
    with pytest.raises(BadPassword):
        slots.made("password", password("short"), Secret(root))
