"""Leaves of the error tree, the second half: what was asked does not fit what is. Standard library only."""

from qekm.errors.kinds import (
    DeniedError,
    IdentityError,
    StateError,
)


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

    hint = (
        "on that machine: edit the file, then qekm config refresh; "
        "or with the service stopped: qekm-server config set"
    )


class NoPeer(StateError):
    """There is no second server to synchronise with."""


class NotWaiting(StateError):
    """No server waits to be let in under this name; details: peer."""

    hint = "run there: qekm peers join INVITATION"


class PeerRefused(DeniedError):
    """This server is not one of the estate's, or not the one that it was; details: peer."""

    hint = "enrol it with: qekm peers invite"


class BatchRefused(DeniedError):
    """What a server sent was altered, replayed, or does not verify; details: peer."""

    hint = "compare the stores with: qekm peers sync"


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
    """The certificate was revoked or has ended; details: revoked."""


class PasswordNeeded(IdentityError):
    """The certificate's identity has a command password, and no session proves it; details: account."""

    hint = "log in with: qekm login"
