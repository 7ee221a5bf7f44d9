"""The original's drives, from its listing or from CSV."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import BadArgument
from qekm.interchange.roster import COLUMNS, Entry, serialize
from qekm.model import Drive, DriveState
from qekm.takeover.drives import OldDrives, check_groups, is_export, parse

VERBOSE = """\
Drive entries: 1
SerialNumber = 001300000392
  Symrec = KEY1
  Alias1 =
  World Wide Name = 500308C09E4A1001
  Vendor = IBM
  Colour = blue
"""


def fault(content: bytes) -> str:
    with pytest.raises(BadArgument) as caught:
        parse(content, "list")
    assert "nothing was made" in caught.value.advice
    return caught.value.message


def test_a_listing_gives_accepted_drives_and_what_they_named() -> None:
    found = parse(VERBOSE.encode(), "list")
    (drive,) = found.drives
    assert (drive.line, drive.keys) == (2, ("KEY1",))
    # A WWN there may be a port's: each drive tells its own when it first asks.
    assert drive.entry == Drive("001300000392", DriveState.ACCEPTED, 0)
    assert [(each.line, each.label) for each in found.unclear] == [(7, "Colour")]
    assert found.untaken == ("World Wide Name", "Vendor")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_listing_may_come_from_any_shell(encoding: str) -> None:
    assert len(parse(VERBOSE.replace("\n", "\r\n").encode(encoding), "list").drives) == 1


def test_a_csv_file_says_more() -> None:
    text = "serial,wwnn,product,group,alias\n1300000392,500308c09e4a1001,ULT3580-TD4,default,KEY1\n"
    (drive,) = parse(text.encode(), "list").drives
    wwnn = bytes.fromhex("500308c09e4a1001")
    assert drive.entry == Drive(
        "001300000392", DriveState.ACCEPTED, 0, wwnn, product="ULT3580-TD4", group="default"
    )
    assert drive.keys == ("KEY1",)


def test_the_drive_table_that_this_program_writes_is_known_and_read() -> None:
    text = serialize([Entry(0, "A", vendor="IBM", firmware="77BE", confirm=False, label_mode="t10")])
    assert is_export(text.encode())
    assert text.splitlines()[0] == ",".join(COLUMNS)
    (drive,) = parse(text.encode(), "list").drives
    assert (drive.entry.vendor, drive.entry.firmware, drive.entry.confirm) == ("IBM", "77BE", False)
    assert not is_export(b"\xac\xed\0\5")
    assert not is_export(b"")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"Drive entries: 2\nSerialNumber = A\n", "list: it says 2 drive entries and has 1"),
        (b"Drive entries: 1\nrubbish\nSerialNumber = A\n", "list: line 2: 'rubbish'"),
        (b"Drive entries: 2\nSerialNumber = A\nSerialNumber = A\n", "list: line 3: drive A is on line 2"),
        (b"A\nA\n", "list: line 2: the serial is on line 1 already"),
        (b"\xff\xfeA", "list: not a text file"),
        (b"\x80\x81", "list: not a text file"),
        (b"# nothing\n", "list: no drive in it"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(content: bytes, said: str) -> None:
    assert fault(content).startswith(said)


def test_groups_that_will_not_be_there_are_named() -> None:
    found = parse(b"serial,group,allowed_groups\nA,tapes,\nB,,default more\n", "list")
    check_groups(found, {"tapes", "default", "more"})
    with pytest.raises(BadArgument) as caught:
        check_groups(found, {"default"})
    assert caught.value.message.splitlines() == [
        "list: line 2: no group is called 'tapes'",
        "list: line 3: no group is called 'more'",
    ]


@given(st.binary(max_size=200))
@pytest.mark.parametrize("head", [b"", b"Drive entries: 1\nSerialNumber = A\n"])
def test_any_bytes_are_drives_or_bad(head: bytes, content: bytes) -> None:
    with contextlib.suppress(BadArgument):
        assert isinstance(parse(head + content, "list"), OldDrives)
