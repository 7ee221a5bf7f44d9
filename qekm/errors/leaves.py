"""The leaves of the error tree: each names one thing that a caller can act on. Standard library only."""

from qekm.errors.kinds import (
    DeniedError,
    ExhaustedError,
    ExistsError,
    FaultError,
    IdentityError,
    InvalidError,
    NotFoundError,
    StateError,
    UnavailableError,
)


class BadArgument(InvalidError):
    """A field or option has a value that it cannot have; details: field."""


class BadPageToken(InvalidError):
    """A page token that this service did not make."""

    hint = "start again without a page token"


class BadConfiguration(InvalidError):
    """A property or configuration file that cannot be used; details: property, line."""


class BadPassword(InvalidError):
    """A password that opens nothing or may not be set."""


class BadCertificate(InvalidError):
    """A certificate, request or chain that cannot be accepted."""


class BadFile(InvalidError):
    """A file that is not what it should be: of another kind, cut off, altered, hostile; details: file."""


class BadShares(InvalidError):
    """Recovery shares that do not belong together, are too few, or were mistyped; details: share."""


class UnknownKey(NotFoundError):
    """No key has this alias or DKi; details: alias or dki."""

    hint = "list the keys with: qekm keys list"


class UnknownGroup(NotFoundError):
    """No group has this name; details: group."""

    hint = "list the groups with: qekm groups list"


class UnknownDrive(NotFoundError):
    """No drive has this serial; details: drive."""

    hint = "list the drives with: qekm drives list"


class UnknownAuthority(NotFoundError):
    """No drive authority has this fingerprint."""

    hint = "list the authorities with: qekm drives authorities list"


class UnknownCertificate(NotFoundError):
    """No certificate has this serial."""

    hint = "list the certificates with: qekm certificates list"


class UnknownSlot(NotFoundError):
    """The keystore has no slot of this name; details: slot."""

    hint = "list the slots with: qekm keystore slots list"


class UnknownApproval(NotFoundError):
    """No request of this id waits for an approval; details: approval."""

    hint = "list the requests with: qekm approvals list"


class UnknownBackup(NotFoundError):
    """No backup has this name; details: backup."""

    hint = "list the backups with: qekm backup list"


class UnknownPartner(NotFoundError):
    """No partner of key exchange has this name; details: partner."""

    hint = "list the partners with: qekm certificates partners"


class UnknownAccount(NotFoundError):
    """No account has this role and name; details: account."""

    hint = "list the accounts with: qekm accounts list"


class UnknownProperty(NotFoundError):
    """No property has this name; details: property."""

    hint = "list the properties with: qekm config list"


class KeyExists(ExistsError):
    """A key of this alias exists, perhaps in another case."""


class GroupExists(ExistsError):
    """A group of this name exists."""


class DriveExists(ExistsError):
    """A drive of this serial or WWNN exists."""


class AuthorityExists(ExistsError):
    """The drive authority is trusted already."""


class SlotExists(ExistsError):
    """The keystore has a slot of this name; details: slot."""


class PartnerExists(ExistsError):
    """A partner of this name or certificate exists; details: partner."""


class AccountExists(ExistsError):
    """The certificate's identity has a password; details: account."""


class HomeExists(ExistsError):
    """A key manager was initialised here before."""

    hint = "name another directory with --home, or keep the key manager that is there"


class GroupInUse(StateError):
    """The group holds keys, is a drive's, or is the default."""


class KeyInUse(StateError):
    """The key's state forbids what was asked."""


class NotInitialised(StateError):
    """There is no key manager in this directory."""

    hint = "make one with: qekm init"


class StoreNewer(StateError):
    """The store was written by a newer program."""

    hint = "run the newer version; an older one never touches the store"


class StoreInUse(StateError):
    """Another process has the store open."""

    hint = "one service owns a store: stop the other one first (qekm server stop)"


class PortInUse(StateError):
    """A port that is to be listened on is taken."""


class RolloverState(StateError):
    """The authority's roll-over is not in the state that was assumed."""


class LastAdministrator(StateError):
    """Nobody could administer the service any more."""

    hint = "issue another administrator's certificate first: qekm certificates issue"


class LastSlot(StateError):
    """Nothing could open the keystore any more."""

    hint = "add another slot first: qekm keystore slots add"


class KeystoreLocked(StateError):
    """A person's act needs a slot of the keystore opened first; details: act."""

    hint = "open one with: qekm keystore unlock"


class ApprovalNeeded(StateError):
    """A second person must approve what was asked; details: approval, the id of the request."""


class ReadOnly(StateError):
    """The store may be an old copy: keys are read, no new ones are given; details: reason."""

    hint = "put the present store back, or make this one the present one with: qekm-server adopt"


class NotBehind(StateError):
    """Nothing says that the store is an old copy: there is nothing to adopt."""


class NoBackupTarget(StateError):
    """There is nowhere to put a backup."""

    hint = "name a directory on another file system in the property backup.target"


class NotFromAfar(StateError):
    """A property that is changed on the service's own machine only; details: property."""

    hint = "on that machine, with the service stopped: qekm-server config set"


class NoPeer(StateError):
    """There is no second server to synchronise with."""


class NotAllowed(DeniedError):
    """The role of the certificate may not call this; details: role, method."""


class KeyNotAllowed(DeniedError):
    """The drive's entry does not allow this key's group."""


class SameSubject(DeniedError):
    """Who asked cannot be who approves; details: approval."""

    hint = "another person's certificate is needed: qekm certificates issue"


class AccountLocked(DeniedError):
    """Too many wrong passwords: none is taken for a while; details: account, until."""

    hint = "wait, or have another administrator run: qekm accounts unlock"


class UnknownIdentity(IdentityError):
    """The certificate names no role of this estate."""


class RevokedIdentity(IdentityError):
    """The certificate was revoked or has ended."""


class PasswordNeeded(IdentityError):
    """The certificate's identity has a command password, and no session proves it; details: account."""

    hint = "log in with: qekm login"


class PoolEmpty(ExhaustedError):
    """No key is left to give out and the group's policy forbids reuse; details: group."""

    hint = "make keys with: qekm keys generate"


class TooMany(ExhaustedError):
    """A rate or size limit; details: limit."""


class ServiceAway(UnavailableError):
    """The service does not answer, or does not accept our certificate."""


class Draining(UnavailableError):
    """The service is stopping."""


class GatewayAway(UnavailableError):
    """No gateway is connected."""

    hint = "start it with: qekm server start"


class TokenAway(UnavailableError):
    """The PKCS#11 token does not answer or refuses the PIN; details: token."""


class StoreFailed(FaultError):
    """A write to the store failed; the service stops and recovers from what is on disk."""


class FileFailed(FaultError):
    """A file could not be written: what was there is there still; details: file."""


class StoreDamaged(FaultError):
    """A stored row does not verify."""


class BackupFailed(FaultError):
    """A backup could not be made, copied away or proved; details: backup."""


class BackupDamaged(FaultError):
    """A backup that does not prove: cut off, altered, or of another estate; details: backup."""


class Incident(FaultError):
    """Anything unforeseen; details: incident, the number under which the service logged it."""
