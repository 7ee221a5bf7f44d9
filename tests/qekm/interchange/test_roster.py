"""CSV files of drives."""

import csv
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qekm.errors import BadArgument
from qekm.interchange.roster import COLUMNS, Entry, check, normal_serial, parse, parse_wwnn, serialize


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
    assert faults("A,1\n,\nB,,toolongvendor\nC,,,,,,,,,,\nD\nD\n") == [
        "line 1: '1' is not a world-wide node name: 16 hex digits, as in 500308c09e4a1001",
        "line 3: vendor 'toolongvendor' is not at most 8 printable ASCII characters",
        "line 4: 11 fields where at most 10 are expected: serial, wwnn, vendor, product, group, alias, "
        "firmware, allowed_groups, confirm, label_mode",
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


def test_a_whole_table_says_more_and_what_is_empty_is_not_said() -> None:
    head = "serial,allowed_groups,confirm,label_mode,firmware\n"
    whole, bare = parse(f"{head}A,archive  default,No,T10,97F9\nB\n")
    assert whole.fields() == {
        "serial": "A",
        "allowed_groups": ("archive", "default"),
        "confirm": False,
        "label_mode": "LABEL_MODE_T10",
        "firmware": "97F9",
    }
    assert bare.fields() == {"serial": "B"}
    assert faults(f"{head}A,,maybe\nB,,,half\nC,{'g' * 65}\n") == [
        "line 2: confirm 'maybe' is neither yes nor no",
        "line 3: label_mode 'half' is neither full nor t10",
        f"line 4: allowed_groups '{'g' * 65}' are not names of groups with spaces between them",
    ]
    with pytest.raises(BadArgument, match="line 2: no group is called 'archive'"):
        check([whole], (), {"default"}, ())


printable = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=16)


# A drive at port 3801 may have any of these (docs/protocol.md, section 3).
serials = st.text(printable, min_size=1, max_size=16).map(normal_serial).filter(lambda each: len(each) <= 16)


def fit(length: int) -> st.SearchStrategy[str]:
    return st.text(printable, max_size=length).map(str.strip)


@given(
    st.lists(
        st.builds(
            Entry,
            st.just(0),
            serials,
            st.binary(min_size=8, max_size=8) | st.just(b""),
            fit(8),
            fit(16),
            fit(64),
            fit(21),
            fit(4),
            st.lists(words, max_size=3).map(tuple),
            st.sampled_from((True, False, None)),
            st.sampled_from(("", "full", "t10")),
        ),
        min_size=1,
        max_size=5,
        unique_by=(lambda entry: entry.serial, lambda entry: entry.wwnn or entry.serial),
    )
)
def test_what_is_written_is_read_back(entries: list[Entry]) -> None:
    text = serialize(entries)
    assert text.splitlines()[0] == ",".join(COLUMNS)
    assert [replace(entry, line=0) for entry in parse(text)] == entries
    assert [cells[0] for cells in csv.reader(text.splitlines(), strict=True)][1:] == [
        entry.serial for entry in entries
    ]


@pytest.mark.parametrize(
    "serial", ["#FOO", " A7 ", "   ", "serial", 'A"', '"', '""', ",", "=1+1", "#", "'", "A\\"]
)
def test_every_serial_that_a_drive_can_have_is_written_and_read_back(serial: str) -> None:
    entries = [Entry(2, serial, vendor="IBM"), Entry(3, "B")]
    assert parse(serialize(entries)) == entries


def test_a_comment_begins_with_its_mark_and_what_is_in_quotes_is_none() -> None:
    assert parse('#A\n"#B"\n') == [Entry(2, "#B")]
    assert parse(" A , ,\n") == [Entry(1, "A")]
    assert parse('"A", "500308c09e4a1001" ,"IBM "\n') == [
        Entry(1, "A", bytes.fromhex("500308c09e4a1001"), "IBM")
    ]


@pytest.mark.parametrize("line", ['"A', '"A"B', ' "A', 'A,"', 'A,"b"c', '"A""'])
def test_a_quote_that_means_nothing_is_told(line: str) -> None:
    assert faults(f"B\n{line}\n") == ['line 2: a quote (") stands where none can be, or lacks its other one']


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
