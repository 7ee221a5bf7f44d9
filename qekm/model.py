"""The nouns, as plain values. No I/O, no clock, no cryptography.

Times are integers, microseconds since 1970-01-01 UTC (`_us`); 0 means never.
"""

from __future__ import annotations

from dataclasses import dataclass
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


class Role(IntEnum):
    """What a certificate may do; numbers as qekm.v1.Role."""

    ADMINISTRATOR = 1
    OPERATOR = 2
    AUDITOR = 3
    CUSTODIAN = 4
    GATEWAY = 5
    SERVER = 6


@dataclass(frozen=True, slots=True)
class Key:
    """A data key: identity and sealed material never change, the rest is its mutable state."""

    key_id: bytes  # 16 random bytes
    alias: str
    dki: bytes  # 12 bytes
    created_seq: int
    create_time_us: int
    epoch: int
    sealed: bytes  # see qekm/sealing.py
    check_value: bytes  # 4 bytes
    group: str
    state: KeyState
    version: int = 1  # of the mutable state
    assign_time_us: int = 0
    drive_serial: str = ""
    volser: str = ""
    mount_id: bytes = b""


@dataclass(frozen=True, slots=True)
class Cartridge:
    """One confirmed use of a key for writing."""

    volser: str
    alias: str
    drive_serial: str
    drive_wwnn: bytes
    write_time_us: int


@dataclass(frozen=True, slots=True)
class Group:
    """A key group and its policy."""

    name: str
    on_exhaustion: OnExhaustion
    is_default: bool
    create_time_us: int


@dataclass(frozen=True, slots=True)
class Drive:
    """An entry of the drive registry, accepted or pending."""

    serial: str
    state: DriveState
    create_time_us: int
    wwnn: bytes = b""
    vendor: str = ""
    product: str = ""
    firmware: str = ""
    spki_sha256: bytes = b""
    last_seen_time_us: int = 0
    allowed_groups: tuple[str, ...] = ()
    group: str = ""
    alias: str = ""
    confirm: bool = True
    label_mode: LabelMode = LabelMode.FULL
    library_serial: str = ""


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority that may name drives."""

    fingerprint: bytes  # SHA-256 of the DER
    certificate: bytes  # DER
    subject: str
    expire_time_us: int
    create_time_us: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that the internal authority issued."""

    serial: str  # lower-case hex
    role: Role
    name: str
    start_time_us: int
    expire_time_us: int
    authority: bytes  # SHA-256 of the issuer's DER
    revoke_time_us: int = 0
    hosts: tuple[str, ...] = ()  # host names and addresses, kept for its renewal


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """What an event says before it is chained; the store adds sequence and hash."""

    time_us: int
    event: str
    outcome: Outcome
    actor: str
    drive_serial: str = ""
    drive_wwnn: bytes = b""
    volser: str = ""
    alias: str = ""
    code: str = ""
    message: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Removal:
    """A row that goes away: the kind (drive, group, authority, blocked key) and its primary key."""

    kind: type[Drive] | type[Group] | type[Authority] | type[BlockedKey]
    name: str | bytes


@dataclass(frozen=True, slots=True)
class BlockedKey:
    """A drive's public key that is refused for good."""

    spki_sha256: bytes
    create_time_us: int


@dataclass(frozen=True, slots=True)
class Vault:
    """A secret of the service itself, sealed under the root key: the CA's key, the eAK, the audit key."""

    name: str
    sealed: bytes
    certificate: bytes  # DER, or empty


@dataclass(frozen=True, slots=True)
class Setting:
    """A small durable fact: the alias counter, a request id that was answered."""

    name: str
    value: str


# What a decision writes. The store turns each kind into its statement; all of one decision commit together.
Change = (
    Key
    | Cartridge
    | Group
    | Drive
    | Authority
    | Certificate
    | AuditRecord
    | Removal
    | BlockedKey
    | Vault
    | Setting
)
