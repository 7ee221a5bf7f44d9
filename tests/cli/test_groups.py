"""`qekm groups` against a service in memory."""

from .conftest import Qekm
from .fake_service import ALIAS, FakeService


def test_list_shows_every_group_and_its_policy(qekm: Qekm) -> None:
    told = qekm("groups", "list")
    assert told.code == 0
    assert [line.split() for line in told.lines[1:]] == [
        ["archive", "no", "1", "0", "refuse"],
        ["default", "yes", "5", "4", "refill"],
        ["empty", "no", "0", "0", "refill"],
    ]
    assert len(qekm("groups", "list", "--json").document["groups"]) == 3


def test_show_shows_one_group(qekm: Qekm) -> None:
    assert "Default        yes" in qekm("groups", "show", "default").lines
    assert qekm("groups", "show", "archive", "--json").document["on_exhaustion"] == "refuse"


def test_an_unknown_group_is_named_with_a_hint(qekm: Qekm) -> None:
    for words in (
        ("show", "x"),
        ("modify", "x", "--default"),
        ("delete", "x"),
        ("move", "x", ALIAS.format(2)),
    ):
        told = qekm("groups", *words)
        assert told.code == 3
        assert "qekm: error: no group is called 'x'" in told.err
        assert "qekm: hint: list the groups with: qekm groups list" in told.err


def test_create_makes_a_group_with_a_policy(qekm: Qekm) -> None:
    assert qekm("groups", "create", "tapes", "--on-exhaustion", "reuse").out == "group tapes made\n"
    assert qekm("groups", "show", "tapes", "--json").document["on_exhaustion"] == "reuse"
    assert qekm("groups", "create", "more", "--json").document["on_exhaustion"] == "unspecified"


def test_create_refuses_a_name_that_is_there_and_a_policy_that_is_none(qekm: Qekm) -> None:
    assert qekm("groups", "create", "default").code == 4
    told = qekm("groups", "create", "tapes", "--on-exhaustion", "explode")
    assert told.code == 2
    assert "'--on-exhaustion'" in told.err
    assert "'refill'" in told.err
    told = qekm("groups", "create")
    assert told.code == 2
    assert "missing argument 'NAME': Name of the group" in told.err


def test_modify_changes_only_what_is_named(qekm: Qekm, service: FakeService) -> None:
    assert qekm("groups", "modify", "archive", "--default").out == "group archive changed\n"
    assert service.groups.groups["archive"].is_default
    assert qekm("groups", "show", "archive", "--json").document["on_exhaustion"] == "refuse"
    assert qekm("groups", "modify", "archive", "--on-exhaustion", "refill", "--json").document["is_default"]


def test_modify_without_a_change_says_what_could_be_changed(qekm: Qekm) -> None:
    told = qekm("groups", "modify", "archive")
    assert told.code == 2
    assert "give --on-exhaustion or --default" in told.err


def test_delete_removes_an_empty_group_and_keeps_one_with_keys(qekm: Qekm) -> None:
    assert qekm("groups", "delete", "empty").out == "group empty removed\n"
    told = qekm("groups", "delete", "default")
    assert told.code == 6
    assert "qekm: error: group 'default' holds keys" in told.err


def test_move_names_keys_and_where_they_go(qekm: Qekm, service: FakeService) -> None:
    aliases = [ALIAS.format(2), ALIAS.format(3)]
    assert qekm("groups", "move", "empty", *aliases).out == "2 keys moved to group empty\n"
    assert service.groups.moved == aliases
    assert qekm("groups", "move", "empty", ALIAS.format(4)).out == "1 key moved to group empty\n"
    assert qekm("groups", "move", "empty").code == 2
