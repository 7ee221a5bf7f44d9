"""Leaves of the error tree that are about a name: nothing has it, or something has it already."""

from qekm.errors.kinds import ExistsError, NotFoundError


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


class UnknownPeer(NotFoundError):
    """No server of the estate has this name; details: peer."""

    hint = "list the servers with: qekm peers list"


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


class PeerExists(ExistsError):
    """A server of this name is in the estate or invited; details: peer."""

    hint = "list the servers with: qekm peers list"


class PartnerExists(ExistsError):
    """A partner of this name or certificate exists; details: partner."""


class AccountExists(ExistsError):
    """The certificate's identity has a password; details: account."""


class HomeExists(ExistsError):
    """A key manager was initialised here before."""

    hint = "name another directory with --home, or keep the key manager that is there"
