"""The one error tree. Every failure that a caller can act on is a leaf here.

A category decides how an edge answers: exit code (EXIT_CODES below), gRPC status (qekm/rpc/status.py), drive
sense code (qekm/serving/faults.py). A leaf names what is wrong. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


class QekmError(Exception):
    """Root of the tree: a message names what is wrong, a hint says what to do, details are for programs."""

    hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None, **details: str) -> None:
        super().__init__(message)
        self.message = message
        self.advice = self.hint if hint is None else hint
        self.details = details

    @classmethod
    def reason(cls) -> str:
        """Return the leaf's name for programs, UPPER_SNAKE, as in google.rpc.ErrorInfo.reason."""
        return _WORD.sub("_", cls.__name__).upper()


# Categories: never raised themselves.
class InvalidError(QekmError):
    """What was asked is not well formed; asking again will not help."""


class NotFoundError(QekmError):
    """What was named does not exist, or not for this caller."""


class ExistsError(QekmError):
    """What was to be made is there already."""


class StateError(QekmError):
    """The request is well formed but does not fit the present state."""


class DeniedError(QekmError):
    """The caller is known and may not."""


class IdentityError(QekmError):
    """The caller is not known."""


class ExhaustedError(QekmError):
    """A limit is reached; waiting or an administrator helps."""


class UnavailableError(QekmError):
    """The service cannot answer now; trying again may help."""


class FaultError(QekmError):
    """Something broke that the caller cannot mend."""


# Leaves.
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


class KeyExists(ExistsError):
    """A key of this alias exists, perhaps in another case."""


class GroupExists(ExistsError):
    """A group of this name exists."""


class DriveExists(ExistsError):
    """A drive of this serial or WWNN exists."""


class AuthorityExists(ExistsError):
    """The drive authority is trusted already."""


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


class NotAllowed(DeniedError):
    """The role of the certificate may not call this; details: role, method."""


class KeyNotAllowed(DeniedError):
    """The drive's entry does not allow this key's group."""


class UnknownIdentity(IdentityError):
    """The certificate names no role of this estate."""


class RevokedIdentity(IdentityError):
    """The certificate was revoked or has ended."""


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


class StoreFailed(FaultError):
    """A write to the store failed; the service stops and recovers from what is on disk."""


class StoreDamaged(FaultError):
    """A stored row does not verify."""


class Incident(FaultError):
    """Anything unforeseen; details: incident, the number under which the service logged it."""


# How a program of ours ends. 0: done. 1: an exception that no table knows. 2 is also what a command
# line that cannot be parsed gives. 5: a check ran to its end and what it checked is not well (the
# audit trail is broken, a diagnosis failed, a process is down), so that a script can tell a bad
# verdict from a check that could not be made.
EXIT_VERDICT = 5
EXIT_CODES: Mapping[type[QekmError], int] = MappingProxyType(
    {
        InvalidError: 2,
        NotFoundError: 3,
        ExistsError: 4,
        StateError: 6,
        DeniedError: 7,
        IdentityError: 8,
        ExhaustedError: 9,
        UnavailableError: 10,
        FaultError: 11,
    }
)


def exit_code(error: BaseException) -> int:
    """Return the exit code of an error: that of its category, 1 for what is not of this tree."""
    return next((EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES), 1)
