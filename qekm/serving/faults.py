"""Tell drives of errors: from the error tree to the protocol's codes (docs/protocol.md, section 10)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from qekm import errors
from qekm.dkp.codes import Code, Fault

# What is not here is EE0F, with no details: it is no drive's business.
CODES: Mapping[type[errors.QekmError], Code] = MappingProxyType(
    {
        errors.BadCertificate: Code.EE2B,
        errors.UnknownAuthority: Code.EE2B,
        errors.UnknownDrive: Code.EF01,
        errors.DriveExists: Code.EE25,
        errors.UnknownKey: Code.EE31,
        errors.UnknownGroup: Code.EE31,
        errors.KeyNotAllowed: Code.EE31,
        errors.KeyInUse: Code.EE31,
        errors.StoreDamaged: Code.EE31,
        errors.PoolEmpty: Code.EE34,
        errors.ReadOnly: Code.EE34,
        errors.TooMany: Code.EE34,
        errors.PeerAway: Code.EE34,
    }
)
INTERNAL = frozenset(
    {
        errors.BadArgument,
        errors.BadPageToken,
        errors.BadConfiguration,
        errors.BadPassword,
        errors.UnknownCertificate,
        errors.KeyExists,
        errors.GroupExists,
        errors.AuthorityExists,
        errors.HomeExists,
        errors.GroupInUse,
        errors.NotInitialised,
        errors.StoreNewer,
        errors.StoreInUse,
        errors.PortInUse,
        errors.RolloverState,
        errors.LastAdministrator,
        errors.NotAllowed,
        errors.UnknownIdentity,
        errors.RevokedIdentity,
        errors.ServiceAway,
        errors.Draining,
        errors.GatewayAway,
        errors.StoreFailed,
        errors.Incident,
        errors.BadFile,
        errors.BadShares,
        errors.UnknownSlot,
        errors.UnknownApproval,
        errors.UnknownBackup,
        errors.UnknownPartner,
        errors.SlotExists,
        errors.PartnerExists,
        errors.LastSlot,
        errors.KeystoreLocked,
        errors.ApprovalNeeded,
        errors.NotBehind,
        errors.NoBackupTarget,
        errors.SameSubject,
        errors.TokenAway,
        errors.BackupFailed,
        errors.BackupDamaged,
        errors.UnknownAccount,
        errors.UnknownProperty,
        errors.AccountExists,
        errors.NotFromAfar,
        errors.NoPeer,
        errors.UnknownPeer,
        errors.PeerExists,
        errors.NotWaiting,
        errors.PeerRefused,
        errors.BatchRefused,
        errors.AccountLocked,
        errors.PasswordNeeded,
        errors.FileFailed,
    }
)
"""Leaves that are EE0F on purpose, so that a test can tell them from one that was forgotten."""


def fault_of(error: errors.QekmError) -> Fault:
    """Return what a drive is told of an error; EE0F says nothing but its number."""
    code = CODES.get(type(error), Code.EE0F)
    return Fault(code, "" if code is Code.EE0F else error.message)
