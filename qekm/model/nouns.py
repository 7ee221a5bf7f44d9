"""The nouns, as plain values.

Times are integers, microseconds since 1970-01-01 UTC (`_us`); 0 means never.
"""

from __future__ import annotations

from dataclasses import dataclass

from qekm.model.peers import Checkpoint, Cursor, Entry, Peer, SharedProperty
from qekm.model.states import (
    ApprovalState,
    BackupState,
    DriveState,
    KeyState,
    LabelMode,
    OnExhaustion,
    Outcome,
    Role,
)


@dataclass(frozen=True, slots=True)
class Key:
    """A data key: its identity never changes; its material is only ever sealed anew, or destroyed."""

    key_id: bytes  # 16 random bytes
    alias: str
    dki: bytes  # 12 bytes
    created_seq: int
    create_time_us: int
    epoch: int
    sealed: bytes  # see qekm/sealing/keyring.py; empty once destroyed
    check_value: bytes  # 4 bytes
    group: str
    state: KeyState
    version: int = 1  # of the mutable state
    assign_time_us: int = 0
    drive_serial: str = ""
    volser: str = ""
    mount_id: bytes = b""
    destroy_time_us: int = 0  # when its material goes, while DESTROY_PENDING; when it went, once DESTROYED
    former: int = 0  # the state to return to when a destruction is called off, else 0
    origin: bytes = b""  # 8 bytes: the instance that made it, and the only one that gives it out


@dataclass(frozen=True, slots=True)
class Cartridge:
    """One confirmed use of a key for writing."""

    volser: str
    alias: str
    drive_serial: str
    drive_wwnn: bytes
    write_time_us: int
    id: int = 0  # see qekm/store/uses.py; 0: the store gives it the next


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
    """A row that goes away: the kind and its primary key."""

    kind: (
        type[Drive]
        | type[Group]
        | type[Authority]
        | type[BlockedKey]
        | type[Slot]
        | type[Partner]
        | type[Account]
        | type[SharedProperty]
        | type[Cursor]
    )
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


@dataclass(frozen=True, slots=True)
class Slot:
    """One way of opening the store: the root key as a sealer of this kind sealed it (sealing/slot.py)."""

    name: str  # its kind, unless there are several of one kind
    sealed: bytes
    kind: str  # key-file, password, pkcs11, shares
    create_time_us: int


@dataclass(frozen=True, slots=True)
class Approval:
    """A request that a second person approves or refuses; it lives 24 hours and is used once."""

    approval_id: str  # 8 hex digits
    action: str  # destroy, export, restore
    digest: bytes  # SHA-256 of all that was asked: another request is another approval
    summary: str  # one line for the person who decides
    requester: str  # role/name of a certificate, as in the audit trail
    create_time_us: int
    expire_time_us: int
    state: ApprovalState = ApprovalState.PENDING
    decider: str = ""
    decide_time_us: int = 0


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was made of this store, and what is known of it."""

    name: str  # its file's name in the target
    create_time_us: int
    epoch: int
    sequence: int  # the commit that it is a picture of
    created_seq: int  # it holds every key up to this one
    key_count: int
    size: int  # bytes
    sha256: bytes
    target: str  # the directory, or the command that copied it away
    independent: bool  # on another file system than the store, or handed to a command that copied it away
    state: BackupState = BackupState.CREATED
    verify_time_us: int = 0
    drill_time_us: int = 0  # when a person last opened it with shares or the password
    message: str = ""  # why it failed


@dataclass(frozen=True, slots=True)
class Partner:
    """Another organisation that keys are exchanged with."""

    name: str
    certificate: bytes  # DER; its SHA-256 was confirmed by a person or its chain verified
    fingerprint: bytes  # SHA-256 of the DER
    signer: bytes  # DER of the certificate that signs what they send; empty if they only receive
    expire_time_us: int
    create_time_us: int


@dataclass(frozen=True, slots=True)
class Account:
    """The command password of a person's certificates, and the wrong tries at it."""

    actor: str  # role/name of the certificates, as in the audit trail
    verifier: bytes  # see qekm/sealing/verifier.py
    create_time_us: int
    password_time_us: int  # when the password was last set
    wrong: int = 0  # tries since the last right one
    locked_until_us: int = 0

    @property
    def role(self) -> Role:
        """Return the role of the certificates."""
        return Role[self.actor.partition("/")[0].upper()]

    @property
    def name(self) -> str:
        """Return the name of the certificates."""
        return self.actor.partition("/")[2]


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
    | Slot
    | Approval
    | Backup
    | Partner
    | Account
    | Peer
    | Cursor
    | Checkpoint
    | SharedProperty
    | Entry
)
