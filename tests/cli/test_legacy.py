"""The family's verbs, to the letter."""

from .conftest import Qekm


def test_listdrives_prints_what_the_original_prints(qekm: Qekm) -> None:
    told = qekm("listdrives")
    assert told.out == "Drive entries: 2\nSerialNumber = 001300000392\nSerialNumber = 001310000363\n"


def test_listdrives_takes_the_original_s_option_in_its_spelling(qekm: Qekm) -> None:
    for serial in ("001310000363", "1310000363"):
        assert (
            qekm("listdrives", "-drivename", serial).out == "Drive entries: 1\nSerialNumber = 001310000363\n"
        )


def test_listdrives_of_an_unknown_drive_is_an_error(qekm: Qekm) -> None:
    assert qekm("listdrives", "-drivename", "NONE").code == 3
    assert qekm("listdrives", "-drivename").code == 2
    assert qekm("listdrives", "001310000363").code == 2


def test_listdrives_is_there_for_programs_too(qekm: Qekm) -> None:
    assert len(qekm("listdrives", "--json").document["drives"]) == 2
