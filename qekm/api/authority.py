"""Who may call what. Read it top to bottom; what is not written here, nobody may call."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from qekm.model import Role

_A, _O, _U, _C, _G = Role.ADMINISTRATOR, Role.OPERATOR, Role.AUDITOR, Role.CUSTODIAN, Role.GATEWAY
_S, _N = Role.SERVER, Role.CANDIDATE

_RULES: Mapping[str, set[Role]] = {
    # The gateway's stream: no person, not even an administrator, can ask for a key.
    "qekm.v1.ServingService/Serve": {_G},
    "qekm.v1.KeystoreService/GetKeystore": {_A, _U, _C},
    "qekm.v1.KeystoreService/ListKeys": {_A, _O, _U, _C},
    "qekm.v1.KeystoreService/GetKey": {_A, _O, _U, _C},
    "qekm.v1.KeystoreService/ListCartridges": {_A, _O, _U, _C},
    "qekm.v1.KeystoreService/GenerateKeys": {_A, _C},
    "qekm.v1.KeystoreService/UnlockKeystore": {_A, _C},
    "qekm.v1.KeystoreService/LockKeystore": {_A, _C},
    "qekm.v1.KeystoreService/RotateKeystore": {_A, _C},
    "qekm.v1.KeystoreService/DeactivateKeys": {_A, _C},
    "qekm.v1.KeystoreService/CompromiseKeys": {_A, _C},
    "qekm.v1.KeystoreService/DestroyKeys": {_A, _C},
    "qekm.v1.KeystoreService/KeepKeys": {_A, _C},
    "qekm.v1.SlotsService/ListSlots": {_A, _U, _C},
    "qekm.v1.SlotsService/CreateSlot": {_A, _C},
    "qekm.v1.SlotsService/DeleteSlot": {_A, _C},
    "qekm.v1.SlotsService/TestSlot": {_A, _C},
    "qekm.v1.SlotsService/UpdatePassword": {_A, _C},
    # Who may ask may decide, but never on what he asked himself (qekm/approvals.py).
    "qekm.v1.ApprovalsService/ListApprovals": {_A, _U, _C},
    "qekm.v1.ApprovalsService/GrantApproval": {_A, _C},
    "qekm.v1.ApprovalsService/RefuseApproval": {_A, _C},
    "qekm.v1.BackupsService/CreateBackup": {_A, _O, _C},
    "qekm.v1.BackupsService/ListBackups": {_A, _O, _U, _C},
    "qekm.v1.BackupsService/VerifyBackup": {_A, _O, _C},
    "qekm.v1.BackupsService/DrillBackup": {_A, _C},
    "qekm.v1.BackupsService/GetSchedule": {_A, _O, _U, _C},
    "qekm.v1.BackupsService/UpdateSchedule": {_A},
    "qekm.v1.BackupsService/PrepareRestore": {_A},
    "qekm.v1.SharingService/ExportKeys": {_A, _C},
    "qekm.v1.SharingService/ImportKeys": {_A, _C},
    "qekm.v1.SharingService/GetCertificates": {_A, _U, _C},
    "qekm.v1.SharingService/ListPartners": {_A, _U, _C},
    "qekm.v1.SharingService/CreatePartner": {_A, _C},
    "qekm.v1.SharingService/DeletePartner": {_A, _C},
    "qekm.v1.GroupsService/ListGroups": {_A, _O, _U, _C},
    "qekm.v1.GroupsService/GetGroup": {_A, _O, _U, _C},
    "qekm.v1.GroupsService/CreateGroup": {_A, _C},
    "qekm.v1.GroupsService/UpdateGroup": {_A, _C},
    "qekm.v1.GroupsService/DeleteGroup": {_A, _C},
    "qekm.v1.GroupsService/MoveKeys": {_A, _C},
    "qekm.v1.DrivesService/ListDrives": {_A, _O, _U},
    "qekm.v1.DrivesService/GetDrive": {_A, _O, _U},
    "qekm.v1.DrivesService/CreateDrive": {_A, _O},
    "qekm.v1.DrivesService/UpdateDrive": {_A, _O},
    "qekm.v1.DrivesService/AcceptDrive": {_A, _O},
    "qekm.v1.DrivesService/RejectDrive": {_A, _O},
    "qekm.v1.DrivesService/DeleteDrive": {_A},
    "qekm.v1.DrivesService/ImportDrives": {_A},
    "qekm.v1.DrivesService/ListBlockedKeys": {_A, _O, _U},
    "qekm.v1.DrivesService/UnblockKey": {_A},
    "qekm.v1.DrivesService/ListAuthorities": {_A, _U},
    # Whoever adds an authority can make drives that are served.
    "qekm.v1.DrivesService/CreateAuthority": {_A},
    "qekm.v1.DrivesService/DeleteAuthority": {_A},
    "qekm.v1.AlarmsService/ListAlarms": {_A, _O, _U},
    "qekm.v1.AlarmsService/TestAlarms": {_A},
    "qekm.v1.AuditService/ListRecords": {_A, _U},
    "qekm.v1.AuditService/VerifyTrail": {_A, _U},
    "qekm.v1.AuditService/ListCheckpoints": {_A, _U},
    "qekm.v1.ReportService/GetActivity": {_A, _O, _U},
    "qekm.v1.ReportService/GetReport": {_A, _U},
    # Whoever is a person proves a password; its own is everybody's, another's an administrator's.
    "qekm.v1.AccountsService/Login": {_A, _O, _U, _C},
    "qekm.v1.AccountsService/Logout": {_A, _O, _U, _C},
    "qekm.v1.AccountsService/GetSession": {_A, _O, _U, _C},
    "qekm.v1.AccountsService/UpdateOwnPassword": {_A, _O, _U, _C},
    "qekm.v1.AccountsService/ListAccounts": {_A, _U},
    "qekm.v1.AccountsService/CreateAccount": {_A},
    "qekm.v1.AccountsService/ResetPassword": {_A},
    "qekm.v1.AccountsService/UnlockAccount": {_A},
    "qekm.v1.AccountsService/DeleteAccount": {_A},
    "qekm.v1.ConfigurationService/ListProperties": {_A, _O, _U},
    "qekm.v1.ConfigurationService/UpdateProperties": {_A},
    "qekm.v1.ConfigurationService/RefreshConfiguration": {_A},
    "qekm.v1.ServerService/GetStatus": {_A, _O, _U},
    "qekm.v1.ServerService/GetVersion": {_A, _O, _U, _C, _G},
    "qekm.v1.ServerService/StopServer": {_A},
    # Whoever lets a server in hands it the root key.
    "qekm.v1.PeersService/InvitePeer": {_A},
    "qekm.v1.PeersService/JoinEstate": {_N},
    "qekm.v1.PeersService/AcceptPeer": {_A},
    "qekm.v1.PeersService/ListPeers": {_A, _O, _U},
    "qekm.v1.PeersService/RemovePeer": {_A},
    # It takes the place that another machine may have.
    "qekm.v1.PeersService/RejoinPeers": {_A},
    "qekm.v1.PeersService/SyncPeers": {_A, _O},
    "qekm.v1.PeersService/Replicate": {_S},
    "qekm.v1.DiagnosisService/Diagnose": {_A, _O},
    "qekm.v1.CertificatesService/ListCertificates": {_A, _U},
    "qekm.v1.CertificatesService/IssueCertificate": {_A},
    # One's own; another's only for an administrator (qekm/api/certificates.py).
    "qekm.v1.CertificatesService/RenewCertificate": {_A, _O, _U, _C, _G},
    "qekm.v1.CertificatesService/RevokeCertificate": {_A},
    "qekm.v1.CertificatesService/GetTrust": {_A, _O, _U, _C, _G},
    "qekm.v1.CertificatesService/StartRollover": {_A},
    "qekm.v1.CertificatesService/FinishRollover": {_A},
    # Answers only where the configuration switches reflection on.
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": {_A, _O, _U, _C},
}

RULES: Mapping[str, frozenset[Role]] = MappingProxyType(
    {f"/{method}": frozenset(roles) for method, roles in _RULES.items()}
)
"""Method as gRPC names it (/package.Service/Method) to the roles that may call it."""

MACHINES_FROM_AFAR = frozenset(
    {
        "/qekm.v1.CertificatesService/GetTrust",
        "/qekm.v1.CertificatesService/RenewCertificate",
        "/qekm.v1.PeersService/JoinEstate",
        "/qekm.v1.PeersService/Replicate",
    }
)
"""What of it a caller who is no person may do over the SSL port, beside asking for the version: get another
certificate in time, and what servers are to each other. A gateway works over the loopback port, and over this
one where a property says so (qekm/api/entry.py)."""

_NOBODY: frozenset[Role] = frozenset()


def is_allowed(role: Role, method: str) -> bool:
    """Tell whether a role may call a method (/package.Service/Method)."""
    return role in RULES.get(method, _NOBODY)
