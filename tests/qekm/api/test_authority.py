"""The table of authority covers the contract. What it says is checked in tests/system/test_matrix.py."""

from __future__ import annotations

from qekm.api.authority import RULES, is_allowed
from qekm.model import Role
from tests.fakes.edge import contract

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


def test_every_call_of_the_contract_has_a_rule_and_there_is_no_other_rule() -> None:
    assert set(RULES) - {REFLECTION} == set(contract())


def test_every_call_has_somebody_who_may() -> None:
    assert all(RULES.values())


def test_what_has_no_rule_is_for_nobody() -> None:
    for method in ("/qekm.v1.KeystoreService/ExportKeys", "/qekm.v1.KeystoreService", "", "GetKey"):
        assert not any(is_allowed(role, method) for role in Role)


MACHINES = {
    "/qekm.v1.ServingService/Serve": {Role.GATEWAY},
    "/qekm.v1.PeersService/Replicate": {Role.SERVER},
    "/qekm.v1.PeersService/JoinEstate": {Role.CANDIDATE},
}


def test_only_machines_get_keys_and_an_administrator_may_do_the_rest() -> None:
    assert {method: RULES[method] for method in MACHINES} == MACHINES
    assert all(Role.ADMINISTRATOR in roles for method, roles in RULES.items() if method not in MACHINES)


def test_servers_and_those_to_be_do_nothing_but_what_they_are_for() -> None:
    for role in (Role.SERVER, Role.CANDIDATE):
        assert [method for method, roles in RULES.items() if role in roles] == [
            method for method, roles in MACHINES.items() if roles == {role}
        ]


def test_an_auditor_changes_nothing() -> None:
    reads = ("List", "Get", "Verify", "Renew", "ServerReflection", "Log", "UpdateOwnPassword")
    may = [method.rpartition("/")[2] for method, roles in RULES.items() if Role.AUDITOR in roles]
    assert all(name.startswith(reads) for name in may)
