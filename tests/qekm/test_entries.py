"""Which drives there are, and whose which WWNN and which key is."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from qekm.entries import UNIQUE, Entries
from qekm.model import Drive, DriveState

DRIVE = Drive("A", DriveState.ACCEPTED, 1, wwnn=b"12345678", alias="KEY001")
FREE = ("", b"")


def held(found: Entries) -> dict[tuple[str, object], str]:
    """Return who has which WWNN and which key, as it is looked up."""
    values = [(("wwnn", bytes([each]) * 8), ("alias", f"KEY{each}")) for each in range(3)]
    return {each: found.holder(*each) for pair in values for each in pair}


def test_the_version_counts_all_that_entries_say_but_not_when_a_drive_was_seen() -> None:
    found = Entries([DRIVE])
    for drive, counted in (
        (replace(DRIVE, last_seen_time_us=5), 0),
        (replace(DRIVE, firmware="C7BE"), 1),
        (replace(DRIVE, firmware="C7BE", confirm=False), 1),
        (Drive("B", DriveState.PENDING, 1), 0),
        (Drive("B", DriveState.ACCEPTED, 1), 1),
    ):
        before = found.version
        assert found.put(drive) is drive
        assert found.version - before == counted


def test_many_at_once_may_take_over_what_others_of_them_have() -> None:
    other = Drive("B", DriveState.ACCEPTED, 1, wwnn=b"87654321", alias="KEY002")
    found = Entries([DRIVE, other])
    swapped = replace(DRIVE, wwnn=other.wwnn, alias=other.alias), replace(other, wwnn=b"", alias=DRIVE.alias)
    found.put_all(swapped)
    assert (found.holder("wwnn", other.wwnn), found.holder("wwnn", DRIVE.wwnn)) == ("A", "")
    assert (found.holder("alias", "key002"), found.holder("alias", "key001")) == ("A", "B")
    found.put_all([replace(each, last_seen_time_us=5) for each in found.entries()])
    assert (found.holder("wwnn", other.wwnn), found.holder("alias", "key002")) == ("A", "A")


ONE = st.sampled_from(range(-1, 3))
ROUNDS = st.lists(st.lists(st.tuples(st.sampled_from("ABCD"), ONE, ONE), max_size=4), max_size=5)


@given(ROUNDS)
def test_who_has_what_is_what_the_entries_say(rounds: list[list[tuple[str, int, int]]]) -> None:
    """Only tables in which nobody has what another one has are put: qekm.enlisting sees to that."""
    found, model = Entries(()), dict[str, Drive]()
    for number, entries in enumerate(rounds):
        coming = dict(model)
        for serial, wwnn, key in entries:
            entry = Drive(serial, DriveState.ACCEPTED, 1, last_seen_time_us=number)
            entry = replace(entry, wwnn=bytes([wwnn]) * 8 if wwnn >= 0 else b"")
            coming[serial] = replace(entry, alias=f"KEY{key}" if key >= 0 else "")
        for name in UNIQUE:
            taken = [getattr(each, name) for each in coming.values() if getattr(each, name) not in FREE]
            if len(set(taken)) != len(taken):
                break
        else:
            found.put_all(coming[serial] for serial in {serial for serial, _, _ in entries})
            model = coming
    expected = dict.fromkeys(held(found), "")
    for drive in model.values():
        has = {name: getattr(drive, name) for name in UNIQUE}
        expected |= {(name, value): drive.serial for name, value in has.items() if value}
    assert held(found) == expected
