"""Every call of the contract by every role, over real sockets and real mTLS.

The table is written by hand, from what people are to do, and not taken from qekm/api/authority.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.message_factory import GetMessageClass
from grpc import aio

from qekm.model import Role
from tests.fakes.edge import Edge, call, contract
from tests.fakes.pki import Pki

LETTERS = {
    "A": Role.ADMINISTRATOR,
    "O": Role.OPERATOR,
    "U": Role.AUDITOR,
    "C": Role.CUSTODIAN,
    "G": Role.GATEWAY,
    "S": Role.SERVER,
    "N": Role.CANDIDATE,
}

MAY = {
    "AccountsService/CreateAccount": "A",
    "AccountsService/DeleteAccount": "A",
    "AccountsService/GetSession": "A O U C",
    "AccountsService/ListAccounts": "A U",
    "AccountsService/Login": "A O U C",
    "AccountsService/Logout": "A O U C",
    "AccountsService/ResetPassword": "A",
    "AccountsService/UnlockAccount": "A",
    "AccountsService/UpdateOwnPassword": "A O U C",
    "AlarmsService/ListAlarms": "A O U",
    "AlarmsService/TestAlarms": "A",
    "ApprovalsService/GrantApproval": "A C",
    "ApprovalsService/ListApprovals": "A U C",
    "ApprovalsService/RefuseApproval": "A C",
    "AuditService/ListRecords": "A U",
    "AuditService/VerifyTrail": "A U",
    "AuditService/ListCheckpoints": "A U",
    "ReportService/GetActivity": "A O U",
    "ReportService/GetReport": "A U",
    "BackupsService/CreateBackup": "A O C",
    "BackupsService/DrillBackup": "A C",
    "BackupsService/GetSchedule": "A O U C",
    "BackupsService/ListBackups": "A O U C",
    "BackupsService/PrepareRestore": "A",
    "BackupsService/UpdateSchedule": "A",
    "BackupsService/VerifyBackup": "A O C",
    "CertificatesService/FinishRollover": "A",
    "CertificatesService/GetTrust": "A O U C G",
    "CertificatesService/IssueCertificate": "A",
    "CertificatesService/ListCertificates": "A U",
    "CertificatesService/RenewCertificate": "A O U C G",
    "CertificatesService/RevokeCertificate": "A",
    "CertificatesService/StartRollover": "A",
    "ConfigurationService/ListProperties": "A O U",
    "ConfigurationService/RefreshConfiguration": "A",
    "ConfigurationService/UpdateProperties": "A",
    "DiagnosisService/Diagnose": "A O",
    "DrivesService/AcceptDrive": "A O",
    "DrivesService/CreateAuthority": "A",
    "DrivesService/CreateDrive": "A O",
    "DrivesService/DeleteAuthority": "A",
    "DrivesService/DeleteDrive": "A",
    "DrivesService/GetDrive": "A O U",
    "DrivesService/ImportDrives": "A",
    "DrivesService/ListAuthorities": "A U",
    "DrivesService/ListBlockedKeys": "A O U",
    "DrivesService/ListDrives": "A O U",
    "DrivesService/RejectDrive": "A O",
    "DrivesService/UnblockKey": "A",
    "DrivesService/UpdateDrive": "A O",
    "GroupsService/CreateGroup": "A C",
    "GroupsService/DeleteGroup": "A C",
    "GroupsService/GetGroup": "A O U C",
    "GroupsService/ListGroups": "A O U C",
    "GroupsService/MoveKeys": "A C",
    "GroupsService/UpdateGroup": "A C",
    "KeystoreService/CompromiseKeys": "A C",
    "KeystoreService/DeactivateKeys": "A C",
    "KeystoreService/DestroyKeys": "A C",
    "KeystoreService/GenerateKeys": "A C",
    "KeystoreService/GetKey": "A O U C",
    "KeystoreService/GetKeystore": "A U C",
    "KeystoreService/KeepKeys": "A C",
    "KeystoreService/ListCartridges": "A O U C",
    "KeystoreService/ListKeys": "A O U C",
    "KeystoreService/LockKeystore": "A C",
    "KeystoreService/RotateKeystore": "A C",
    "KeystoreService/UnlockKeystore": "A C",
    "PeersService/AcceptPeer": "A",
    "PeersService/InvitePeer": "A",
    "PeersService/JoinEstate": "N",
    "PeersService/ListPeers": "A O U",
    "PeersService/RemovePeer": "A",
    "PeersService/Replicate": "S",
    "PeersService/RejoinPeers": "A",
    "PeersService/SyncPeers": "A O",
    "ServerService/GetStatus": "A O U",
    "ServerService/GetVersion": "A O U C G",
    "ServerService/StopServer": "A",
    "ServingService/Serve": "G",
    "SharingService/CreatePartner": "A C",
    "SharingService/DeletePartner": "A C",
    "SharingService/ExportKeys": "A C",
    "SharingService/GetCertificates": "A U C",
    "SharingService/ImportKeys": "A C",
    "SharingService/ListPartners": "A U C",
    "SlotsService/CreateSlot": "A C",
    "SlotsService/DeleteSlot": "A C",
    "SlotsService/ListSlots": "A U C",
    "SlotsService/TestSlot": "A C",
    "SlotsService/UpdatePassword": "A C",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    """Return one listener for the whole table, and a certificate of every role and of none."""
    pki = Pki(Path(tmp_path_factory.mktemp("matrix") / "home"))
    for role in Role:
        pki.issue(role, role.name)
    pki.forge("NONE", common_name="administrator")
    async with Edge(pki).serving() as each:
        yield each


async def _code(channel: aio.Channel, name: str) -> grpc.StatusCode:
    """Return how a call with an empty request ends."""
    method = contract()[name]
    request: Any = GetMessageClass(method.input_type)()
    asked = iter([request]) if method.client_streaming else request
    made = call(channel, name, method)(asked, timeout=20)
    try:
        if method.server_streaming:
            async for _ in made:
                pass
        else:
            await made
    except aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def test_the_table_names_every_call_of_the_contract_and_no_other() -> None:
    assert {f"/qekm.v1.{name}" for name in MAY} == set(contract())


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_role_may_call_what_the_table_says_and_nothing_else(edge: Edge, letter: str) -> None:
    async with edge.dial(LETTERS[letter].name) as channel:
        codes = await asyncio.gather(*(_code(channel, f"/qekm.v1.{name}") for name in MAY))
    expected = [
        grpc.StatusCode.OK if letter in roles.split() else grpc.StatusCode.PERMISSION_DENIED
        for roles in MAY.values()
    ]
    assert dict(zip(MAY, codes, strict=True)) == dict(zip(MAY, expected, strict=True))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_certificate_without_a_role_may_call_nothing(edge: Edge) -> None:
    async with edge.dial("NONE") as channel:
        codes = await asyncio.gather(*(_code(channel, f"/qekm.v1.{name}") for name in MAY))
    assert set(codes) == {grpc.StatusCode.UNAUTHENTICATED}


@pytest.mark.asyncio(loop_scope="module")
async def test_a_method_outside_of_the_contract_is_answered_to_nobody(edge: Edge) -> None:
    async with edge.dial("ADMINISTRATOR") as channel:
        for name in ("/qekm.v1.KeystoreService/ExportKeys", "/qekm.v2.KeystoreService/GetKey", "/a/b"):
            ask: Any = channel.unary_unary(name)
            with pytest.raises(aio.AioRpcError) as caught:
                await ask(b"", timeout=20)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
