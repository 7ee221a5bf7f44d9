"""States, policies and roles: the words of the life cycle, each with the number that every layer uses."""

from __future__ import annotations

from enum import IntEnum


class KeyState(IntEnum):
    """Life cycle of a data key; the numbers are those of qekm.v1.KeyState and of the store."""

    GENERATED = 1
    READY = 2
    ASSIGNED = 3
    ACTIVE = 4
    SUSPECT = 5
    QUARANTINED = 6
    PROCESS_ONLY = 7
    COMPROMISED = 8
    DESTROY_PENDING = 9
    DESTROYED = 10


class OnExhaustion(IntEnum):
    """What a group does when all its keys were used; numbers as qekm.v1.OnExhaustion."""

    REFILL = 1
    REUSE = 2
    REFUSE = 3


class DriveState(IntEnum):
    """Whether a drive is served; numbers as qekm.v1.DriveState."""

    ACCEPTED = 1
    PENDING = 2


class LabelMode(IntEnum):
    """How keys are wrapped for a drive; numbers as qekm.v1.LabelMode."""

    FULL = 1
    T10 = 2


class Outcome(IntEnum):
    """How an audited event ended; numbers as qekm.v1.Outcome."""

    INTENT = 1
    SUCCESS = 2
    FAILURE = 3


class ApprovalState(IntEnum):
    """How far a request for a second person's approval is; numbers as qekm.v1.ApprovalState."""

    PENDING = 1
    APPROVED = 2
    REFUSED = 3
    USED = 4


class BackupState(IntEnum):
    """How far a backup is; numbers as qekm.v1.BackupState."""

    CREATED = 1
    VERIFIED = 2
    FAILED = 3
    REMOVED = 4


class Role(IntEnum):
    """What a certificate may do; numbers as qekm.v1.Role."""

    ADMINISTRATOR = 1
    OPERATOR = 2
    AUDITOR = 3
    CUSTODIAN = 4
    GATEWAY = 5
    SERVER = 6
    CANDIDATE = 7


class PeerState(IntEnum):
    """How far a server of the estate is; numbers as qekm.v1.PeerState."""

    INVITED = 1
    JOINED = 2
    REMOVED = 3
