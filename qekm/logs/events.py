"""What kind of event in the product family's sense each of ours is, and of what resource it tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

TYPES: Mapping[str, str] = MappingProxyType(
    {
        "authentication": "SECURITY_AUTHN",
        "data_synchronization": "SECURITY_DATA_SYNC",
        "runtime": "SECURITY_RUNTIME",
        "audit_management": "SECURITY_MGMT_AUDIT",
        "authorization_terminate": "SECURITY_AUTHZ_TERMINATE",
        "configuration_management": "SECURITY_MGMT_CONFIG",
        "resource_management": "SECURITY_MGMT_RESOURCE",
    }
)
"""Classes as Audit.event.types has them, to the event type that a record shows."""


@dataclass(frozen=True, slots=True)
class Event:
    """One of our events: its class (a key of TYPES) and the kind of resource that it tells of."""

    category: str
    resource: str

    @property
    def type(self) -> str:
        """Return the event type that a record shows."""
        return TYPES[self.category]


# Class, resource, events. An act that is asked for by a call is rpc.<Method>; what came of it has a name.
_TABLE = (
    (
        "runtime",
        "key",
        "key.create key.serve key.install key.suspect key.damaged key.none diagnosis.serve",
    ),
    ("runtime", "drive", "drive.refuse drive.enrol session.end"),
    ("runtime", "gateway", "rpc.Diagnose"),
    ("runtime", "server", "server.start server.stop server.cut server.init server.takeover rpc.StopServer"),
    ("runtime", "gateway", "gateway.away"),
    ("runtime", "disk", "disk.low"),
    ("runtime", "keystore", "store.damaged store.behind store.anchor keystore.readonly"),
    (
        "resource_management",
        "key",
        "key.deactivate key.compromise key.condemn key.keep key.destroy key.export key.import "
        "rpc.GenerateKeys rpc.DeactivateKeys rpc.CompromiseKeys rpc.DestroyKeys rpc.KeepKeys rpc.ExportKeys "
        "rpc.ImportKeys rpc.MoveKeys",
    ),
    (
        "resource_management",
        "key group",
        "group.refill group.low rpc.CreateGroup rpc.UpdateGroup rpc.DeleteGroup",
    ),
    (
        "resource_management",
        "drive",
        "rpc.CreateDrive rpc.UpdateDrive rpc.AcceptDrive rpc.RejectDrive rpc.DeleteDrive rpc.ImportDrives "
        "rpc.UnblockKey",
    ),
    (
        "resource_management",
        "certificate",
        "certificate.issue certificate.renew certificate.expiring rpc.CreateAuthority rpc.DeleteAuthority "
        "rpc.IssueCertificate rpc.RenewCertificate rpc.StartRollover rpc.FinishRollover rpc.CreatePartner "
        "rpc.DeletePartner",
    ),
    (
        "resource_management",
        "keystore",
        "keystore.reseal keystore.forget store.adopt server.restore rpc.RotateKeystore rpc.CreateSlot "
        "rpc.DeleteSlot rpc.UpdatePassword rpc.PrepareRestore",
    ),
    (
        "resource_management",
        "backup",
        "backup.create backup.verify backup.keep backup.remove backup.drill backup.late drill.late "
        "rpc.CreateBackup rpc.VerifyBackup rpc.DrillBackup",
    ),
    (
        "resource_management",
        "peer",
        "peer.join peer.accept rpc.InvitePeer rpc.AcceptPeer rpc.RemovePeer rpc.RejoinPeers",
    ),
    (
        "data_synchronization",
        "peer",
        "peer.silent peer.heard peer.lag peer.substitute peer.diverge peer.agree rpc.SyncPeers",
    ),
    ("authentication", "peer", "peer.refuse"),
    ("resource_management", "approval", "rpc.GrantApproval rpc.RefuseApproval"),
    (
        "configuration_management",
        "configuration",
        "configuration.change rpc.UpdateProperties rpc.RefreshConfiguration",
    ),
    ("configuration_management", "backup", "rpc.UpdateSchedule"),
    (
        "configuration_management",
        "account",
        "account.create account.reset rpc.CreateAccount rpc.ResetPassword rpc.UnlockAccount "
        "rpc.DeleteAccount rpc.UpdateOwnPassword",
    ),
    ("authentication", "server", "rpc.refuse rpc.Login"),
    ("authentication", "account", "account.lock"),
    ("authentication", "keystore", "rpc.UnlockKeystore rpc.TestSlot"),
    ("authorization_terminate", "server", "rpc.Logout"),
    ("authorization_terminate", "keystore", "rpc.LockKeystore"),
    ("authorization_terminate", "certificate", "certificate.revoke rpc.RevokeCertificate"),
    ("audit_management", "report", "rpc.GetReport"),
    ("audit_management", "audit log", "log.resume log.gap log.other log.fail"),
    ("audit_management", "alarm", "rpc.TestAlarms"),
)


def _rows() -> Iterator[tuple[str, Event]]:
    for category, resource, names in _TABLE:
        for name in names.split():
            yield name, Event(category, resource)


EVENTS: Mapping[str, Event] = MappingProxyType(dict(_rows()))
UNKNOWN = Event("runtime", "server")  # of a newer release's trail


def event_of(name: str) -> Event:
    """Return what an event of the trail is in the family's sense."""
    return EVENTS.get(name, UNKNOWN)
