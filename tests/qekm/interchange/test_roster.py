"""CSV files of drives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import BadArgument
from qekm.interchange.roster import Entry, check, normal_serial, parse, parse_wwnn


def faults(text: str) -> list[str]:
    with pytest.raises(BadArgument) as caught:
        parse(text)
    return caught.value.message.splitlines()


def test_a_line_gives_what_it_has() -> None:
    assert parse("1300000392,500308C09E4A1001,IBM,ULT3580-TD4,archive,KEY1\n\nB\n") == [
        Entry(1, "001300000392", bytes.fromhex("500308c09e4a1001"), "IBM", "ULT3580-TD4", "archive", "KEY1"),
        Entry(3, "B"),
    ]


def test_a_heading_names_the_columns_and_a_byte_order_mark_is_skipped() -> None:
    assert parse("\ufeffSerial,Alias,WWNN\r\nA, K ,0x500308c09e4a1001\r\n") == [
        Entry(2, "A", bytes.fromhex("500308c09e4a1001"), alias="K")
    ]


def test_every_bad_line_is_told() -> None:
    assert faults("A,1\n,\nB,,toolongvendor\nC,,,,,,\nD\nD\n") == [
        "line 1: '1' is not a world-wide node name: 16 hex digits, as in 500308c09e4a1001",
        "line 3: vendor 'toolongvendor' is not at most 8 printable ASCII characters",
        "line 4: 7 fields where at most 6 are expected: serial, wwnn, vendor, product, group, alias",
        "line 6: the serial is on line 5 already",
    ]


def test_the_same_drive_in_two_spellings_is_found() -> None:
    assert faults("1300000392\n001300000392\n") == ["line 2: the serial is on line 1 already"]
    assert faults("A,500308c09e4a1001\nB,50:03:08:C0:9E:4A:10:01\n") == [
        "line 2: the wwnn is on line 1 already"
    ]


def test_headings_serials_and_quotes_are_checked() -> None:
    assert faults("serial,colour\nA,red\n")[0] == "line 1: unknown column 'colour'"
    assert faults(",500308c09e4a1001\n") == ["line 1: the serial is missing"]
    assert faults('A,"unfinished\n')[0].startswith("line 1: ")
    assert faults("")[0].startswith("no drive in it")
    assert faults("# only a comment\n")[0].startswith("no drive in it")


def test_a_hundred_bad_lines_are_not_all_told() -> None:
    told = faults("\n".join("S" * 17 for _ in range(100)))
    assert len(told) == 21
    assert told[-1] == "and 80 more"


def test_check_finds_what_the_service_has() -> None:
    check([Entry(1, "A", b"12345678", group="g", alias="k")], {"B"}, {"g"}, {"k"})
    with pytest.raises(BadArgument, match="line 1: drive A exists already"):
        check([Entry(1, "A")], {"A"}, (), ())


@given(st.text(max_size=200))
def test_any_text_gives_entries_or_bad_lines_and_nothing_else(text: str) -> None:
    try:
        entries = parse(text)
    except BadArgument:
        return
    assert entries
    assert all(0 < len(entry.serial) <= 16 and len(entry.wwnn) in (0, 8) for entry in entries)


def test_serials_and_wwnns_are_read_in_all_their_spellings() -> None:
    assert normal_serial("1300000392") == "001300000392"
    assert normal_serial("13000003 2") == "13000003 2"
    assert {
        parse_wwnn(t).hex() for t in ("500308C09E4A1001", "0x500308c09e4a1001", "50-03-08-c0-9e-4a-10-01")
    } == {"500308c09e4a1001"}
