"""createkeygroup, addkeygroup, addkeygroupalias, addaliastogroup, delgroupalias, deletegroup."""

import pytest

from tests.cli.conftest import Qekm
from tests.cli.fake_service import ALIAS, FakeService

KEY = ALIAS.format(6)  # in group archive


def test_createkeygroup_has_nothing_to_make(qekm: Qekm, service: FakeService) -> None:
    assert qekm("createkeygroup").out == "key groups need no file here; there are 3\n"
    assert len(qekm("createkeygroup", "--json").document["groups"]) == 3
    assert set(service.groups.groups) == {"archive", "default", "empty"}


def test_createkeygroup_refuses_a_password_that_others_can_read(qekm: Qekm) -> None:
    told = qekm("createkeygroup", "-password", "hunter22")
    assert told.code == 2
    assert "others can read a command line" in told.err
    assert "hunter22" not in told.out + told.err


def test_a_group_is_made_and_removed(qekm: Qekm, service: FakeService) -> None:
    assert qekm("addkeygroup", "-groupID", "new").out == "group new made\n"
    assert qekm("addkeygroup", "-groupID", "new").code == 4
    assert qekm("deletegroup", "-groupID", "new").out == "group new removed\n"
    assert qekm("deletegroup", "-groupID", "new").code == 3
    assert qekm("deletegroup", "-groupID", "archive").code == 6
    assert qekm("deletegroup").code == 2


def test_a_key_is_put_into_a_group(qekm: Qekm, service: FakeService) -> None:
    told = qekm("addkeygroupalias", "-alias", KEY, "-groupID", "empty")
    assert told.out == f"key {KEY} moved to group empty\n"
    assert service.groups.moved == [KEY]
    assert qekm("addkeygroupalias", "-alias", KEY, "-groupID", "none").code == 3


def test_a_key_is_moved_from_the_group_it_is_in(qekm: Qekm, service: FakeService) -> None:
    words = ("addaliastogroup", "-aliasID", KEY, "-sourceGroupID", "archive", "-targetGroupID", "empty")
    assert qekm(*words).out == f"key {KEY} moved from group archive to group empty\n"
    assert service.groups.moved == [KEY]


@pytest.mark.parametrize(
    ("alias", "source", "code"), [(KEY, "empty", 2), (KEY, "none", 3), (ALIAS.format(9), "archive", 3)]
)
def test_a_key_is_not_moved_from_a_group_it_is_not_in(
    qekm: Qekm, service: FakeService, alias: str, source: str, code: int
) -> None:
    words = ("addaliastogroup", "-aliasID", alias, "-sourceGroupID", source, "-targetGroupID", "empty")
    told = qekm(*words)
    assert (told.code, told.out, service.groups.moved) == (code, "", [])
    if code == 2:
        assert f"key {KEY} is in group archive, not in empty" in told.err


def test_a_key_is_taken_out_of_a_group_to_the_default_group(qekm: Qekm, service: FakeService) -> None:
    told = qekm("delgroupalias", "-groupID", "archive", "-alias", KEY)
    assert told.out == f"key {KEY} moved from group archive to the default group, default\n"
    assert service.groups.moved == [KEY]


def test_a_key_is_not_taken_out_of_the_default_group(qekm: Qekm, service: FakeService) -> None:
    told = qekm("delgroupalias", "-groupID", "default", "-alias", ALIAS.format(2))
    assert told.code == 6
    assert "qekm keys deactivate" in told.err
    assert service.groups.moved == []
