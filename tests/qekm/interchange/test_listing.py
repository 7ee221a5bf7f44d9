"""What listDrivesQEKMServer prints, kept in a file."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import BadArgument
from qekm.interchange.listing import Listed, Remark, is_listing, parse


def faults(text: str) -> list[str]:
    with pytest.raises(BadArgument) as caught:
        parse(text)
    return caught.value.message.splitlines()


def test_the_guides_own_listing_gives_its_drives() -> None:
    text = "Drive entries: 2\nSerialNumber = 001300000392\nSerialNumber = 001310000363\n"
    assert parse(text) == [Listed(2, "001300000392"), Listed(3, "001310000363")]
    assert parse("Drive entries: 0\n") == []


def test_serials_are_spelled_as_the_registry_does_and_line_ends_are_any_systems() -> None:
    assert parse("Drive entries: 1\r\n\r\n  SerialNumber=1300000392  \r\n") == [Listed(3, "001300000392")]


def test_what_the_verbose_form_adds_stays_with_its_drive() -> None:
    text = "Drive entries: 2\nSerialNumber = A\n  Alias1 = KEY1\n  WWN =\nSerialNumber = B\n"
    remarks = (Remark(3, "Alias1", "KEY1"), Remark(4, "WWN", ""))
    assert parse(text) == [Listed(2, "A", remarks), Listed(5, "B")]


def test_what_a_terminal_shows_before_is_no_drive() -> None:
    for before in ("$ listDrivesQEKMServer\nPassword:\n", "Enter the password: ", "\n\n"):
        assert [each.serial for each in parse(f"{before}Drive entries: 1\nSerialNumber = A\n")] == ["A"]


def test_every_bad_line_is_told() -> None:
    assert faults("Drive entries: 4\nSerialNumber = A\nA drive\nSerialNumber =\nSerialNumber = A\n$ \n") == [
        "line 3: 'A drive' is not SerialNumber = …",
        "line 4: '' is no serial: 1 to 16 printable ASCII characters",
        "line 6: '$' is not SerialNumber = …",
        "line 5: drive A is on line 2 already",
        "it says 4 drive entries and has 3: is it whole?",
    ]
    assert faults("Drive entries: 1\nDrive entries: 1\nSerialNumber = A\n")[0].startswith("line 2: ")
    assert faults("Drive entries: 1\nAlias = K\nSerialNumber = A\n")[0].startswith("line 2: 'Alias = K'")
    assert faults(f"Drive entries: 1\nSerialNumber = {'1' * 17}\n")[0].startswith("line 2: ")


def test_a_listing_that_was_cut_off_is_none() -> None:
    whole = "Drive entries: 2\nSerialNumber = 001300000392\nSerialNumber = 001310000363\n"
    assert len(parse(whole)) == 2
    for end in range(len(whole)):
        faults(whole[:end])


def test_the_same_drive_in_two_spellings_is_found() -> None:
    text = "Drive entries: 2\nSerialNumber = 1300000392\nSerialNumber = 001300000392\n"
    assert faults(text) == ["line 3: drive 001300000392 is on line 2 already"]


def test_it_is_told_from_a_list_of_another_form() -> None:
    assert is_listing("Drive entries: 2\n")
    assert is_listing("junk\n SerialNumber = A\n")
    assert not is_listing("serial,alias\nA,K\n")
    assert not is_listing("")


@given(st.text())
@pytest.mark.parametrize("head", ["", "Drive entries: 1\n", "Drive entries: 1\nSerialNumber = A\n"])
def test_any_text_is_a_listing_or_bad(head: str, text: str) -> None:
    with contextlib.suppress(BadArgument):
        parse(head + text)
