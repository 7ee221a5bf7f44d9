"""`qekm keys of` and `qekm cartridges`: what was written with which key."""

import pytest

from qekm.v1 import keystore_pb2 as pb
from tests.cli.fake_service.parts import moment

from .conftest import Qekm
from .fake_service import ALIAS, FakeService


@pytest.fixture(autouse=True)
def written(service: FakeService) -> None:
    """Have three cartridges written: one of them twice, two with one key."""
    service.keystore.cartridges += [
        pb.Cartridge(volser="E01002L4", alias=ALIAS.format(1), drive_serial="D2", write_time=moment(60)),
        pb.Cartridge(volser="E01001L4", alias=ALIAS.format(6), drive_serial="D2", write_time=moment(120)),
        pb.Cartridge(volser="E01003L4", alias=ALIAS.format(2), drive_serial="D2", write_time=moment(180)),
    ]


def test_the_keys_of_a_cartridge_are_told_the_newest_first(qekm: Qekm) -> None:
    told = qekm("keys", "of", "E01001L4")
    assert [line.split() for line in told.lines] == [
        ["ALIAS", "STATE", "WRITTEN", "DRIVE", "WWNN"],
        [ALIAS.format(6), "process-only", "2027-01-15T08:02:00Z", "D2", "-"],
        [ALIAS.format(1), "active", "2027-01-15T08:00:06Z", "001300000392", "500308c09e4a1001"],
    ]
    assert max(map(len, told.lines)) <= 100
    keys = qekm("keys", "of", "E01001L4", "--json").document["keys"]
    assert [(key["alias"], key["state"]) for key in keys] == [
        (ALIAS.format(6), "process-only"),
        (ALIAS.format(1), "active"),
    ]


def test_a_cartridge_that_was_never_written_is_an_error(qekm: Qekm) -> None:
    told = qekm("keys", "of", "E09999L4")
    assert (told.code, told.out) == (3, "")
    assert "no cartridge 'E09999L4' was written" in told.err
    assert "qekm: hint: list the cartridges with: qekm cartridges list" in told.err
    assert qekm("keys", "of").code == 2


@pytest.mark.parametrize("name", [ALIAS.format(1), ALIAS.format(1).lower(), "514b4d000000000000000001"])
def test_the_cartridges_of_a_key_are_told_the_newest_first(qekm: Qekm, name: str) -> None:
    told = qekm("cartridges", "of", name)
    assert [line.split()[0] for line in told.lines] == ["VOLSER", "E01002L4", "E01001L4"]
    assert len(qekm("cartridges", "of", name, "--json").document["cartridges"]) == 2


def test_a_key_that_wrote_nothing_has_none_and_one_that_is_not_there_is_an_error(qekm: Qekm) -> None:
    assert qekm("cartridges", "of", ALIAS.format(3), "--json").document == {"cartridges": []}
    assert qekm("cartridges", "of", ALIAS.format(9)).code == 3


def test_all_cartridges_are_listed_the_newest_first_and_not_more_than_asked_for(qekm: Qekm) -> None:
    assert [line.split()[0] for line in qekm("cartridges", "list").lines] == [
        "VOLSER", "E01003L4", "E01001L4", "E01002L4", "E01001L4",
    ]  # fmt: skip
    assert len(qekm("cartridges", "list", "--limit", "1", "--json").document["cartridges"]) == 1
    assert len(qekm("cartridges", "list", "--limit", "0", "--json").document["cartridges"]) == 4
