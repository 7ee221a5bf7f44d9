"""adddrive, moddrive, deldrive, listdrives."""

import pytest

from qekm.v1 import drives_pb2 as pb
from tests.cli.conftest import Qekm
from tests.cli.fake_service import ALIAS, FakeService

ONE = "Drive entries: 1\nSerialNumber = 001310000363\n"


def test_listdrives_prints_what_the_original_prints(qekm: Qekm) -> None:
    told = qekm("listdrives")
    assert told.out == "Drive entries: 2\nSerialNumber = 001300000392\nSerialNumber = 001310000363\n"


def test_listdrives_takes_the_original_s_option_in_its_spelling(qekm: Qekm) -> None:
    for serial in ("001310000363", "1310000363"):
        assert qekm("listdrives", "-drivename", serial).out == ONE


def test_listdrives_of_an_unknown_drive_is_an_error(qekm: Qekm) -> None:
    assert qekm("listdrives", "-drivename", "NONE").code == 3
    assert qekm("listdrives", "-drivename").code == 2
    assert qekm("listdrives", "001310000363").code == 2


def test_listdrives_is_there_for_programs_too(qekm: Qekm) -> None:
    assert len(qekm("listdrives", "--json").document["drives"]) == 2


@pytest.mark.parametrize("option", ["-verbose", "-v"])
def test_listdrives_tells_more_when_asked(qekm: Qekm, service: FakeService, option: str) -> None:
    service.drives.drives["001300000392"].alias = ALIAS.format(1)
    told = qekm("listdrives", option)
    assert told.lines[:8] == [
        "Drive entries: 2",
        "SerialNumber = 001300000392",
        "  WorldWideName = 500308c09e4a1001",
        "  Vendor = IBM",
        "  Product = ULT3580-TD4",
        f"  KeyAlias = {ALIAS.format(1)}",
        "  KeyGroup = the default group",
        "  LastSeen = 2027-01-15T08:00:09Z",
    ]


def test_adddrive_puts_two_zeros_before_ten_digits(qekm: Qekm, service: FakeService) -> None:
    assert qekm("adddrive", "-drivename", "1310000999").out == "drive 001310000999 added\n"
    drive = service.drives.drives["001310000999"]
    assert (drive.group, drive.alias) == ("", "")
    again = qekm("adddrive", "-drivename", "001310000999")
    assert (again.code, again.out) == (4, "")


@pytest.mark.parametrize(
    ("symrec", "group", "alias"),
    [
        ("archive", "archive", ""),
        (ALIAS.format(2), "", ALIAS.format(2)),
        (ALIAS.format(2).lower(), "", ALIAS.format(2)),
    ],
)
def test_symrec_is_a_group_or_a_key_as_there_is_one(
    qekm: Qekm, service: FakeService, symrec: str, group: str, alias: str
) -> None:
    assert qekm("adddrive", "-drivename", "NEW", "-symrec", symrec).code == 0
    assert (service.drives.drives["NEW"].group, service.drives.drives["NEW"].alias) == (group, alias)
    drive = service.drives.drives["001300000392"]
    drive.group, drive.alias = "default", ALIAS.format(5)
    told = qekm("moddrive", "-drivename", "1300000392", "-symrec", symrec)
    assert told.out == "drive 001300000392 changed\n"
    assert (drive.group, drive.alias) == (group, alias)
    assert drive.vendor == "IBM     "


def test_symrec_of_what_is_neither_or_both_is_an_error(qekm: Qekm, service: FakeService) -> None:
    told = qekm("adddrive", "-drivename", "NEW", "-symrec", "none")
    assert told.code == 3
    assert told.err == (
        "qekm: error: neither a key nor a group is called 'none'\n"
        "qekm: hint: list them with: qekm groups list, qekm keys list\n"
    )
    service.keystore.keys[3].alias = "ARCHIVE"
    told = qekm("moddrive", "-drivename", "001300000392", "-symrec", "archive")
    assert told.code == 2
    assert "a key and a group are called 'archive'" in told.err
    assert "NEW" not in service.drives.drives


@pytest.mark.parametrize("option", ["-rec1", "-rec2"])
@pytest.mark.parametrize("verb", ["adddrive", "moddrive"])
def test_certificates_are_refused_with_the_reason(
    qekm: Qekm, service: FakeService, verb: str, option: str
) -> None:
    told = qekm(verb, "-drivename", "NEW", option, "cert1", "-symrec", "archive")
    assert told.code == 2
    assert "3592" in told.err
    assert "qekm: hint: name a key or a key group: -symrec" in told.err
    assert "NEW" not in service.drives.drives


def test_moddrive_takes_the_keys_away_again_and_wants_something_to_change(
    qekm: Qekm, service: FakeService
) -> None:
    drive = service.drives.drives["001300000392"]
    drive.group = "archive"
    assert qekm("moddrive", "-drivename", "001300000392", "-symrec", "", "--json").document["group"] == ""
    assert drive.group == ""
    told = qekm("moddrive", "-drivename", "001300000392")
    assert (told.code, "nothing to change" in told.err) == (2, True)
    assert qekm("moddrive", "-drivename", "NONE", "-symrec", "archive").code == 3


def test_deldrive_removes_a_drive(qekm: Qekm, service: FakeService) -> None:
    assert qekm("deldrive", "-drivename", "1300000392").out == "drive 001300000392 removed\n"
    assert "001300000392" not in service.drives.drives
    assert qekm("deldrive", "-drivename", "1300000392").code == 3
    told = qekm("deldrive")
    assert (told.code, "-drivename" in told.err) == (2, True)
    assert service.drives.drives["001310000363"].state == pb.DRIVE_STATE_ACCEPTED
