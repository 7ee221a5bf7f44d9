"""`qekm drives` against a service in memory."""

from pathlib import Path

import pytest

from qekm.v1 import drives_pb2 as pb

from .conftest import Qekm
from .fake_service import ALIAS, FakeService


def test_list_shows_accepted_and_pending_drives_in_eighty_columns(qekm: Qekm) -> None:
    told = qekm("drives", "list")
    assert told.code == 0
    assert told.lines[1].split() == [
        "001300000392", "accepted", "ULT3580-TD4", "500308c09e4a1001", "2027-01-15T08:00:09Z",
    ]  # fmt: skip
    assert told.lines[3].split() == ["PENDING1", "pending", "ULT3580-TD4", "-", "-"]
    assert max(map(len, told.lines)) <= 80


def test_list_takes_a_state(qekm: Qekm) -> None:
    assert [
        d["serial"] for d in qekm("drives", "list", "--state", "pending", "--json").document["drives"]
    ] == ["PENDING1"]
    assert len(qekm("drives", "list", "--state", "accepted", "--json").document["drives"]) == 2
    assert qekm("drives", "list", "--state", "gone").code == 2


def test_ten_thousand_drives_are_listed(qekm: Qekm, service: FakeService) -> None:
    service.drives.drives = {f"{n:012}": pb.Drive(serial=f"{n:012}") for n in range(10_000)}
    assert len(qekm("drives", "list").lines) == 10_001


def test_show_takes_a_serial_of_ten_digits_as_the_original_does(qekm: Qekm) -> None:
    told = qekm("drives", "show", "1300000392")
    assert told.code == 0
    assert told.lines[0].split() == ["Serial", "001300000392"]
    assert "Allowed groups     all" in told.lines
    assert qekm("drives", "show", "001300000392", "--json").document["wwnn"] == "500308c09e4a1001"


def test_an_unknown_drive_is_named_with_a_hint(qekm: Qekm) -> None:
    for words in (
        ("show", "X"),
        ("accept", "X"),
        ("reject", "X"),
        ("modify", "X", "--unpin"),
        ("remove", "X"),
    ):
        told = qekm("drives", *words)
        assert told.code == 3
        assert "qekm: error: no drive 'X'" in told.err
        assert "qekm drives list" in told.err


def test_add_tells_the_service_what_is_known(qekm: Qekm, service: FakeService) -> None:
    words = "drives add 1310000999 --wwnn 50:03:08:c0:9e:4a:10:09 --vendor HP --group archive --no-confirm"
    more = "--allow-group archive --allow-group default --label t10 --product"
    told = qekm(*words.split(), *more.split(), "Ultrium 4")
    assert told.out == "drive 001310000999 added\n"
    drive = service.drives.drives["001310000999"]
    assert drive.wwnn.hex() == "500308c09e4a1009"
    assert list(drive.allowed_groups) == ["archive", "default"]
    assert (drive.vendor, drive.group, drive.confirm) == ("HP", "archive", False)
    assert drive.label_mode == pb.LABEL_MODE_T10


def test_add_demands_key_confirmation_unless_told_otherwise(qekm: Qekm, service: FakeService) -> None:
    assert qekm("drives", "add", "NEW").code == 0
    assert not service.drives.drives["NEW"].HasField("confirm")  # absent means yes
    assert "Key confirmation   yes" in qekm("drives", "show", "NEW").lines
    assert qekm("drives", "add", "BRIDGED", "--no-confirm").code == 0
    assert "Key confirmation   no" in qekm("drives", "show", "BRIDGED").lines


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("NEW", "--wwnn", "123"), "'--wwnn': '123' is not a world-wide node name: 16 hex digits"),
        (("NEW", "--wwnn", "z" * 16), "16 hex digits"),
        (
            ("NEW", "--vendor", "too long a name"),
            "'--vendor': 'too long a name' is not at most 8 printable ASCII",
        ),
        (("NEW", "--product", "näin"), "'--product'"),
        (("NEW", "--firmware", "12345"), "at most 4"),
        (("NEW", "--label", "x"), "'full'"),
        ((), "give either a serial or --csv FILE"),
        (("NEW", "--csv", "f"), "give either a serial or --csv FILE"),
        (("--csv", "f", "--vendor", "IBM"), "with --csv everything comes from the file"),
        (("NEW", "MORE"), "unexpected extra argument"),
    ],
)
def test_add_names_the_argument_that_is_wrong_and_what_would_be_right(
    qekm: Qekm, words: tuple[str, ...], told: str
) -> None:
    ended = qekm("drives", "add", *words)
    assert ended.code == 2
    assert told in ended.err
    assert "see: qekm drives add --help" in ended.err


def test_add_refuses_a_drive_that_is_there(qekm: Qekm) -> None:
    told = qekm("drives", "add", "001300000392")
    assert told.code == 4
    assert "qekm: error: drive 001300000392 exists" in told.err


def test_add_takes_the_drives_of_a_file(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    file = tmp_path / "drives.csv"
    file.write_text(f"# ours\n1310000001,500308c09e4a1011,IBM,ULT3580-TD4,archive,{ALIAS.format(2)}\nB\n")
    assert qekm("drives", "add", "--csv", str(file)).out == "2 drives added\n"
    assert service.drives.drives["001310000001"].alias == ALIAS.format(2)


def test_a_file_with_a_bad_line_adds_nothing_and_names_each_bad_line(
    qekm: Qekm, service: FakeService, tmp_path: Path
) -> None:
    file = tmp_path / "drives.csv"
    file.write_text("GOOD\nBAD,12\n001300000392\nC,,,,nogroup\nD,,,,,noalias\nE,500308c09e4a1001\n")
    before = set(service.drives.drives)
    told = qekm("drives", "add", "--csv", str(file))
    assert told.code == 2
    assert f"qekm: error: {file}: line 2: '12' is not a world-wide node name" in told.err
    file.write_text("GOOD\nBAD\n001300000392\nC,,,,nogroup\nD,,,,,noalias\nE,500308c09e4a1001\n")
    told = qekm("drives", "add", "--csv", str(file))
    assert told.code == 2
    assert told.err.splitlines() == [
        f"qekm: error: {file}: line 3: drive 001300000392 exists already",
        f"qekm: error: {file}: line 4: no group is called 'nogroup'",
        f"qekm: error: {file}: line 5: no key has the alias 'noalias'",
        f"qekm: error: {file}: line 6: another drive has the WWNN 500308c09e4a1001",
        "qekm: hint: no drive was added; correct the file and run it again",
    ]
    assert set(service.drives.drives) == before


def test_a_file_that_fails_half_way_names_the_line(qekm: Qekm, service: FakeService, tmp_path: Path) -> None:
    file = tmp_path / "drives.csv"
    file.write_text("A\n\nB\nC\n")
    service.drives.full_after = 2
    told = qekm("drives", "add", "--csv", str(file))
    assert told.code == 10
    assert f"qekm: error: {file}: line 4: the service does not answer" in told.err
    assert "the 2 drives before it were added" in told.err


def test_a_file_that_cannot_be_read_is_named(qekm: Qekm, tmp_path: Path) -> None:
    told = qekm("drives", "add", "--csv", str(tmp_path / "no.csv"))
    assert told.code == 2
    assert told.err == f"qekm: error: {tmp_path / 'no.csv'}: No such file or directory\n"
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\0")
    told = qekm("drives", "add", "--csv", str(binary))
    assert told.code == 2
    assert f"{binary}: not a text file in UTF-8" in told.err


def test_a_pending_drive_is_accepted_or_rejected(qekm: Qekm, service: FakeService) -> None:
    assert qekm("drives", "accept", "PENDING1").out == "drive PENDING1 accepted\n"
    assert qekm("drives", "reject", "PENDING1").code == 3
    service.drives.drives["PENDING1"].state = pb.DRIVE_STATE_PENDING
    assert qekm("drives", "reject", "PENDING1", "--json").document == {"serial": "PENDING1"}
    assert "PENDING1" not in service.drives.drives


def test_modify_changes_only_what_is_named(qekm: Qekm, service: FakeService) -> None:
    drive = service.drives.drives["001300000392"]
    drive.spki_sha256, drive.group = bytes(32), "archive"
    drive.allowed_groups.append("archive")
    told = qekm(
        "drives", "modify", "001300000392", "--unpin", "--group", "", "--allow-all-groups", "--no-confirm"
    )
    assert told.out == "drive 001300000392 changed\n"
    assert (drive.spki_sha256, drive.group, list(drive.allowed_groups), drive.confirm) == (b"", "", [], False)
    assert drive.vendor == "IBM     "
    assert qekm("drives", "modify", "001300000392", "--allow-group", "default", "--json").document[
        "allowed_groups"
    ] == ["default"]


def test_modify_refuses_nothing_and_contradictions(qekm: Qekm) -> None:
    assert "nothing to change" in qekm("drives", "modify", "001300000392").err
    told = qekm("drives", "modify", "001300000392", "--allow-group", "a", "--allow-all-groups")
    assert told.code == 2
    assert "give either --allow-group or --allow-all-groups" in told.err


def test_remove_blocks_the_public_key_if_told(qekm: Qekm, service: FakeService) -> None:
    assert qekm("drives", "remove", "PENDING1").out == "drive PENDING1 removed\n"
    told = qekm("drives", "remove", "001300000392", "--block")
    assert told.out == "drive 001300000392 removed and its public key blocked\n"
    assert service.drives.blocked == ["001300000392"]
