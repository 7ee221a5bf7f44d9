"""A whole table of drives is taken in, or nothing of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.allocator import Allocator
from qekm.claim import DIAGNOSIS_SERIAL, Claim
from qekm.drives import Registry
from qekm.enlisting import Enlisted, Enlisting, Said
from qekm.errors import BadArgument, DriveExists, KeyInUse, QekmError, ReadOnly, UnknownGroup, UnknownKey
from qekm.keystore import Keystore
from qekm.model import Drive, DriveState, Group, Key, KeyState, LabelMode, OnExhaustion, Removal
from qekm.sealing import KeyRing
from qekm.secret import Secret

W1, W2, W3 = (bytes([number]) * 8 for number in (1, 2, 3))
PENDING = Drive("P", DriveState.PENDING, 1)


def estate(*drives: Drive) -> tuple[Registry, Allocator, Keystore]:
    """Return owners with three keys and these drives, and one that is pending."""
    ring = KeyRing(Secret(bytes(32)), bytes(16))
    keystore = Keystore([], ring, lambda: 5, os.urandom, "0A1B2C3D4E")
    keystore.generate(3, "default")
    groups = [Group("default", OnExhaustion.REFUSE, True, 1), Group("tapes", OnExhaustion.REFUSE, False, 1)]
    return (
        Registry([*drives, PENDING], (), (), lambda: 7),
        Allocator(groups, keystore, lambda: 5),
        keystore,
    )


def enlist(registry: Registry, allocator: Allocator, entries: Sequence[Said], rewrite: bool) -> Enlisted:
    """Take a table in."""
    enlisting = Enlisting(registry, allocator, rewrite)
    for serial, said in entries:
        enlisting.add(serial, said)
    return enlisting.enter()


def drive(serial: str, **entry: Any) -> Drive:
    """Return an accepted drive."""
    return Drive(serial, DriveState.ACCEPTED, 1, **entry)


def rows(registry: Registry) -> dict[str, Drive]:
    """Return all drives."""
    return {each.serial: each for each in registry.page("", 100_000)}


def test_new_ones_are_entered_and_known_ones_change_what_is_said_of_them() -> None:
    known = drive("A", wwnn=W1, vendor="QUANTUM", spki_sha256=b"x" * 32, last_seen_time_us=9)
    registry, allocator, _ = estate(known)
    said: list[tuple[str, dict[str, Any]]] = [
        ("A", {"group": "tapes", "label_mode": LabelMode.T10, "confirm": False}),
        ("1300000392", {"wwnn": W2, "vendor": "IBM"}),
    ]
    found = enlist(registry, allocator, said, rewrite=False)
    assert (found.created, found.updated, found.deleted) == (1, 1, 0)
    changed = replace(known, group="tapes", label_mode=LabelMode.T10, confirm=False)
    new = Drive("001300000392", DriveState.ACCEPTED, 7, wwnn=W2, vendor="IBM")
    assert rows(registry) == {"A": changed, "001300000392": new, "P": PENDING}
    assert set(found.changes) == {changed, new}
    again = enlist(registry, allocator, said, rewrite=False)
    assert (again.created, again.updated, again.deleted, again.changes) == (0, 0, 0, ())


def test_a_rewrite_removes_the_others_but_none_that_waits() -> None:
    registry, allocator, _ = estate(drive("A"), drive("B", wwnn=W1), drive("C"))
    found = enlist(registry, allocator, [("C", {}), ("D", {"wwnn": W1})], rewrite=True)
    assert (found.created, found.updated, found.deleted) == (1, 0, 2)
    assert set(rows(registry)) == {"C", "D", "P"}
    assert {change.name for change in found.changes if isinstance(change, Removal)} == {"A", "B"}
    found = enlist(registry, allocator, [], rewrite=True)
    assert (found.deleted, set(rows(registry))) == (2, {"P"})


def test_a_pending_one_that_is_in_the_table_is_entered() -> None:
    registry, allocator, _ = estate()
    assert enlist(registry, allocator, [("P", {})], rewrite=False).created == 1
    assert rows(registry)["P"].state is DriveState.ACCEPTED


def test_what_one_gives_up_another_may_have() -> None:
    registry, allocator, keystore = estate(drive("A", wwnn=W1), drive("B", wwnn=W2))
    one, two, _ = (key.alias for key in keystore)
    enlist(registry, allocator, [("A", {"alias": one}), ("B", {"alias": two})], rewrite=False)
    found = enlist(
        registry, allocator, [("A", {"wwnn": W2}), ("B", {"wwnn": W1}), ("C", {"wwnn": W3})], rewrite=False
    )
    assert (found.created, found.updated) == (1, 2)
    assert {each.serial: each.wwnn for each in rows(registry).values()} == {
        **{"A": W2, "B": W1, "C": W3},
        "P": b"",
    }


def test_a_key_of_its_own_is_taken_out_of_the_pool() -> None:
    registry, allocator, keystore = estate()
    alias = next(iter(keystore)).alias
    found = enlist(registry, allocator, [("A", {"alias": alias.lower()})], rewrite=False)
    (key,) = (change for change in found.changes if isinstance(change, Key))
    assert (key.alias, key.state, key.drive_serial) == (alias, KeyState.ASSIGNED, "A")
    assert registry.get("A").alias == alias


KEY = "the first key"
BAD: list[tuple[list[tuple[str, dict[str, Any]]], type[QekmError], str]] = [
    ([("N", {}), ("N", {})], BadArgument, "drive N is in the table twice"),
    ([("1300000392", {}), ("001300000392", {})], BadArgument, "drive 001300000392 is in the table twice"),
    ([("N", {}), ("", {})], BadArgument, "drive : a drive's serial has"),
    ([("N", {}), ("x" * 17, {})], BadArgument, "serial has 1 to 16"),
    ([("N", {}), (DIAGNOSIS_SERIAL, {})], BadArgument, "test drive"),
    ([("N", {"wwnn": W1})], DriveExists, "drive N: the WWNN is drive A's"),
    ([("N", {"wwnn": W3}), ("M", {"wwnn": W3})], DriveExists, "drive M: the WWNN is drive N's"),
    ([("N", {"wwnn": b"x"})], BadArgument, "8 bytes"),
    ([("N", {"vendor": "x" * 9})], BadArgument, "vendor"),
    ([("N", {}), ("M", {"group": "none"})], UnknownGroup, "drive M: there is no group"),
    ([("N", {"allowed_groups": ("none",)})], UnknownGroup, "drive N"),
    ([("N", {"alias": "none"})], UnknownKey, "drive N"),
    ([("N", {"alias": KEY}), ("M", {"alias": KEY})], KeyInUse, "drive M"),
]


@pytest.mark.parametrize(("entries", "error", "told"), BAD)
@pytest.mark.parametrize("rewrite", [False, True])
def test_one_that_cannot_be_leaves_everything_as_it_was(
    entries: list[tuple[str, dict[str, Any]]], error: type[QekmError], told: str, rewrite: bool
) -> None:
    registry, allocator, keystore = estate(drive("A", wwnn=W1))
    alias = next(iter(keystore)).alias
    entries = [
        (serial, {**said, **({"alias": alias} if said.get("alias") == KEY else {})})
        for serial, said in entries
    ]
    before, keys, version = rows(registry), list(keystore), registry.version
    if rewrite:
        entries.append(("A", {}))  # else its WWNN would be free
    with pytest.raises(error) as refused:
        enlist(registry, allocator, entries, rewrite)
    assert told in refused.value.message
    assert (rows(registry), list(keystore), registry.version) == (before, keys, version)


def test_what_happens_to_a_drive_while_the_table_is_looked_at_is_kept() -> None:
    registry, allocator, _ = estate(drive("A", vendor="IBM"), drive("B"), drive("C"))
    enlisting = Enlisting(registry, allocator, rewrite=True)
    for serial in ("A", "B", "N"):
        enlisting.add(serial, {"group": "tapes"})
    claim = Claim("A", W1, firmware="NEW1")
    registry.see(registry.get("A"), claim, b"x" * 32)
    registry.delete("B")
    registry.enrol(Claim("N", W2), b"y" * 32)
    registry.enrol(Claim("O", W3), b"z" * 32)
    found = enlisting.enter()
    assert (found.created, found.updated, found.deleted) == (1, 2, 2)
    assert set(rows(registry)) == {"A", "B", "N", "P"}
    entry = registry.get("A")
    assert (entry.firmware, entry.spki_sha256, entry.last_seen_time_us) == ("NEW1", b"x" * 32, 7)
    assert (registry.get("N").wwnn, registry.get("N").spki_sha256) == (W2, b"y" * 32)
    assert {registry.get(serial).group for serial in ("A", "B", "N")} == {"tapes"}


def _group_goes(registry: Registry, allocator: Allocator, keystore: Keystore) -> None:
    allocator.delete("tapes")


def _wwnn_goes(registry: Registry, allocator: Allocator, keystore: Keystore) -> None:
    registry.enrol(Claim("O", W1), b"z" * 32)


def _key_is_given(registry: Registry, allocator: Allocator, keystore: Keystore) -> None:
    keystore.assign(next(iter(keystore)), 6, ("O", b"mount", ""))


def _key_is_named(registry: Registry, allocator: Allocator, keystore: Keystore) -> None:
    registry.create(drive("O", alias=next(iter(keystore)).alias))


def _no_key_is_given(registry: Registry, allocator: Allocator, keystore: Keystore) -> None:
    keystore.freeze("it may be an old copy")


Meanwhile = Callable[[Registry, Allocator, Keystore], None]
MEANWHILE: list[tuple[Meanwhile, type[QekmError], str]] = [
    (_group_goes, UnknownGroup, "drive N: there is no group"),
    (_wwnn_goes, DriveExists, "drive N: the WWNN is drive O's"),
    (_key_is_given, KeyInUse, "drive N: key"),
    (_key_is_named, KeyInUse, "drive O's own"),
    (_no_key_is_given, ReadOnly, "it may be an old copy"),
]


@pytest.mark.parametrize(("happens", "error", "told"), MEANWHILE)
def test_a_table_that_can_be_no_more_once_it_is_entered_leaves_everything_as_it_was(
    happens: Meanwhile, error: type[QekmError], told: str
) -> None:
    registry, allocator, keystore = estate(drive("A"))
    enlisting = Enlisting(registry, allocator, rewrite=False)
    enlisting.add("A", {"vendor": "HP"})
    enlisting.add("N", {"wwnn": W1, "group": "tapes", "alias": next(iter(keystore)).alias})
    happens(registry, allocator, keystore)
    before, keys = rows(registry), list(keystore)
    with pytest.raises(error) as refused:
        enlisting.enter()
    assert told in refused.value.message
    assert (rows(registry), list(keystore)) == (before, keys)


SAID = st.fixed_dictionaries(
    {},
    optional={
        "wwnn": st.sampled_from([W1, W2, W3]),
        "group": st.sampled_from(["default", "tapes", "none"]),
        "vendor": st.sampled_from(["", "IBM", "x" * 9]),
    },
)
TABLES = st.lists(st.tuples(st.sampled_from(["A", "B", "C", "D"]), SAID), max_size=5)


@given(st.lists(st.tuples(TABLES, st.booleans()), max_size=4))
def test_whatever_the_tables_each_is_taken_whole_or_not_at_all(
    tables: Sequence[tuple[list[tuple[str, dict[str, Any]]], bool]],
) -> None:
    registry, allocator, _ = estate()
    for entries, rewrite in tables:
        before = rows(registry)
        try:
            found = enlist(registry, allocator, entries, rewrite)
        except QekmError:
            assert rows(registry) == before
            continue
        after = rows(registry)
        wwnns = [each.wwnn for each in after.values() if each.wwnn]
        assert len(set(wwnns)) == len(wwnns)
        for serial, said in entries:
            assert {name: getattr(after[serial], name) for name in said} == said
        accepted = {serial for serial, each in after.items() if each.state is DriveState.ACCEPTED}
        assert not rewrite or accepted == {serial for serial, _ in entries}
        applied = dict(before)
        for change in found.changes:
            if isinstance(change, Removal):
                del applied[str(change.name)]
            elif isinstance(change, Drive):
                applied[change.serial] = change
        assert applied == after, "what is committed is what is in memory"
