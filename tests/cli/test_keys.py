"""`qekm keys` against a service in memory."""

from typing import get_args
from uuid import UUID

from qekm.errors import ServiceAway
from qekm.v1 import keystore_pb2 as pb
from qekm_cli.keys import State

from .conftest import Qekm
from .fake_service import ALIAS, FakeService, key


def test_list_is_a_table_of_all_pages_that_fits_eighty_columns(qekm: Qekm) -> None:
    told = qekm("keys", "list")
    assert told.code == 0
    assert told.lines[0].split() == ["ALIAS", "STATE", "GROUP", "VOLSER", "ASSIGNED"]
    assert [line.split()[0] for line in told.lines[1:]] == [ALIAS.format(n) for n in range(1, 7)]
    assert told.lines[1].split()[1:] == ["active", "default", "E01001L4", "2027-01-15T08:00:05Z"]
    assert told.lines[2].split()[1:] == ["ready", "default", "-", "-"]
    assert max(map(len, told.lines)) <= 80


def test_list_as_json_is_one_document_with_every_field(qekm: Qekm) -> None:
    keys = qekm("keys", "list", "--json").document["keys"]
    assert len(keys) == 6
    assert keys[0] == {
        "alias": ALIAS.format(1),
        "dki": "514b4d000000000000000001",
        "state": "active",
        "group": "default",
        "algorithm": "AES-256",
        "create_time": "2027-01-15T08:00:00.123456Z",
        "assign_time": "2027-01-15T08:00:05.123456Z",
        "drive_serial": "001300000392",
        "volser": "E01001L4",
        "check_value": "01010101",
        "destroy_time": None,
    }
    assert keys[1]["assign_time"] is None


def test_list_takes_a_group_and_a_state(qekm: Qekm) -> None:
    assert len(qekm("keys", "list", "--group", "archive", "--json").document["keys"]) == 1
    assert len(qekm("keys", "list", "--state", "process-only", "--json").document["keys"]) == 1
    assert qekm("keys", "list", "--group", "none", "--json").document == {"keys": []}
    assert len(qekm("keys", "list", "--group", "none").lines) == 1


def test_list_refuses_a_state_that_does_not_exist_and_names_those_that_do(qekm: Qekm) -> None:
    told = qekm("keys", "list", "--state", "used")
    assert told.code == 2
    assert "'--state'" in told.err
    assert "'ready'" in told.err


def test_the_states_on_the_command_line_are_those_of_the_contract() -> None:
    names = pb.KeyState.DESCRIPTOR.values_by_name
    states = {name.removeprefix("KEY_STATE_").lower().replace("_", "-") for name in names}
    assert set(get_args(State)) == states - {"unspecified"}


def test_show_finds_a_key_by_alias_in_any_case_by_dki_and_by_volser(qekm: Qekm) -> None:
    for name in (ALIAS.format(1), ALIAS.format(1).lower(), "514B4D000000000000000001", "E01001L4"):
        told = qekm("keys", "show", name)
        assert told.code == 0, told.err
        assert told.lines[0].split() == ["Alias", ALIAS.format(1)]
        assert "E01001L4  001300000392  500308c09e4a1001  2027-01-15T08:00:06Z" in told.lines


def test_show_shows_every_key_when_an_alias_looks_like_a_volser(qekm: Qekm, service: FakeService) -> None:
    service.keystore.keys.append(key(7, alias="E01001L4", dki=b"E01001L4\0\0\0\0"))
    found = qekm("keys", "show", "E01001L4", "--json").document["keys"]
    assert [one["alias"] for one in found] == ["E01001L4", ALIAS.format(1)]
    assert [len(one["cartridges"]) for one in found] == [0, 1]
    assert qekm("keys", "show", "E01001L4").out.count("Check value") == 2


def test_show_says_that_nothing_has_the_name(qekm: Qekm) -> None:
    for name in ("QKM000000000000000099", "zz", "z" * 24, "f" * 24, "x" * 40):
        told = qekm("keys", "show", name)
        assert told.code == 3
        assert name in told.err
        assert "qekm: hint: list the keys with: qekm keys list" in told.err


def test_generate_makes_keys_and_tells_the_first_and_the_last(qekm: Qekm, service: FakeService) -> None:
    told = qekm("keys", "generate", "3")
    assert told.out == f"made 3 keys: {ALIAS.format(7)} to {ALIAS.format(9)}\n"
    assert told.err == ""
    assert str(UUID(service.keystore.requests[0].request_id)) == service.keystore.requests[0].request_id


def test_generate_takes_a_group_and_answers_as_json(qekm: Qekm, service: FakeService) -> None:
    told = qekm("--json", "keys", "generate", "2", "--group", "archive", "--request-id", "mine")
    assert told.document == {
        "done": 2,
        "total": 2,
        "first_alias": ALIAS.format(7),
        "last_alias": ALIAS.format(8),
    }
    assert service.keystore.requests[0].request_id == "mine"
    assert service.keystore.keys[-1].group == "archive"


def test_generate_refuses_what_is_no_number_of_keys(qekm: Qekm, service: FakeService) -> None:
    for text in ("0", "100001", "-1", "many", "1.5", "٣", "1" * 5000):
        told = qekm("keys", "generate", "--", text)
        assert told.code == 2
        assert "'COUNT'" in told.err
        assert "from 1 to 100,000" in told.err
    assert not service.keystore.requests


def test_an_interrupted_generation_tells_how_to_ask_again_without_a_second_batch(
    qekm: Qekm, service: FakeService
) -> None:
    service.keystore.fail_after = ServiceAway("the service went away")
    told = qekm("keys", "generate", "4")
    assert told.code == 10
    assert "qekm: error: the service went away" in told.err
    assert f"--request-id {service.keystore.requests[0].request_id}" in told.err
