"""Make a key manager: its home, root key, authority, certificates, keys and settings, all or nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from qekm.audit import occurred
from qekm.backup.target import Target
from qekm.building import built
from qekm.configuration.remote import Remote, write_remote
from qekm.configuration.settings import Settings, write_defaults
from qekm.durable import create
from qekm.errors import BadArgument, BadConfiguration, NoBackupTarget
from qekm.estate import Estate
from qekm.founding import Founding, found
from qekm.home import Home
from qekm.keystore import Keystore
from qekm.model import Account, Change, Group, KeyState, OnExhaustion, Slot
from qekm.pki import RandomBytes
from qekm.properties import PROPERTIES
from qekm.properties.listeners import SSL_PORT
from qekm.protection import NONE, PEER
from qekm.sealing import (
    KeyFileSealer,
    KeyRing,
    PasswordSealer,
    Sealer,
    SharesSealer,
    Verifiers,
    check_password,
    split,
)
from qekm.secret import Secret
from qekm.sharing import Pairs
from qekm.store import Store
from qekm.takeover import Takeover, report
from qekm.unlocking import Means

DEFAULT_KEYS = 1_024  # as many as the original made at its installation
MOST_KEYS = 1_000_000
ACTOR = "init"  # in the audit trail: nobody has a certificate yet
ADMINISTRATOR = "administrator/administrator"  # whose certificate a home begins with
_BATCH = 64
_ROOT_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the key manager shall be: names for its certificates, keys, what opens it, other settings."""

    hosts: tuple[str, ...] = ()
    keys: int = DEFAULT_KEYS
    means: Means = field(
        default_factory=Means
    )  # where the key file is to be, and the password if one is to be
    key_file: bool = True  # whether one opens the store, and every start
    shares: tuple[int, int] | None = None  # how many recovery shares open it, and of how many
    properties: Mapping[str, str] = field(default_factory=dict)  # by name
    takeover: Takeover | None = field(default=None, repr=False)  # whose keys and drives it shall have, too
    command_password: Secret | None = None  # of the first administrator

    @property
    def group(self) -> str:
        """Return the name of the default group."""
        return self.properties.get("symmetricKeySet", PROPERTIES["symmetricKeySet"].default)


@dataclass(frozen=True, slots=True)
class Made:
    """What was made."""

    estate_id: bytes
    anchor: bytes  # SHA-256 of the key that signs for drives
    key_file: Path | None
    mnemonics: tuple[str, ...] = field(repr=False)  # the recovery shares; nobody else has them
    report: tuple[str, ...] = ()  # of a takeover


def make(
    home: Home,
    wanted: Wanted,
    now_us: Callable[[], int],
    random_bytes: RandomBytes = os.urandom,
    tell: Callable[[int], None] = lambda count: None,
) -> Made:
    """Make a key manager in `home`; what fails on the way leaves nothing that looks like one.

    tell: called with how many keys more are made. Raises HomeExists, BadArgument, BadConfiguration,
    BadPassword, BadFile, and NoBackupTarget if new keys shall wait for backups that cannot be made or do not
    count.
    """
    if not 0 <= wanted.keys <= MOST_KEYS:
        raise BadArgument(f"init makes 0 to {MOST_KEYS:,} keys, not {wanted.keys}", field="keys")
    if wanted.command_password is not None:
        check_password(wanted.command_password)
    with built(home) as new:
        key_file = _key_file(home, wanted)
        settings = _settings(home, new, wanted, key_file)
        if wanted.takeover is not None:
            wanted.takeover.open()  # what is wrong with it shows here, before a key file is made
        sealers, mnemonics = _sealers(home, new, wanted, key_file)
        estate_id = random_bytes(16)
        estate = Estate.make(estate_id, now_us(), random_bytes)
        founding = found(estate_id, wanted.hosts, estate.signer.public_key(), now_us(), random_bytes)
        for name, content in {**founding.files, new.audit_key.name: estate.audit_public_pem}.items():
            create(new.pki / name, content)
        with Secret(random_bytes(_ROOT_LENGTH)) as root:
            slots = [Slot(sealer.kind, sealer.seal(root), sealer.kind, now_us()) for sealer in sealers]
            ring = KeyRing(root, estate_id, random_bytes=random_bytes)
        unprotected = wanted.properties.get("keystore.protect") == NONE
        first_state = KeyState.READY if unprotected else KeyState.GENERATED
        made = estate.tag, estate.epoch, first_state, estate.instance
        keystore = Keystore((), ring, now_us, random_bytes, *made)
        pairs = Pairs.make(founding.issuer, now_us(), random_bytes)
        group = Group(wanted.group, OnExhaustion.REFILL, is_default=True, create_time_us=now_us())
        accounts = _accounts(wanted, ring, now_us())
        own = [*slots, *estate.dump(ring, founding), *pairs.dump(ring), *accounts, group]
        old = wanted.takeover.changes(keystore, group, now_us, ACTOR) if wanted.takeover else ()
        changes = _followed(chain(_first(own, founding, wanted, now_us()), old), keystore, wanted, tell)
        Store.create(new.store, estate_id, ring.seals, changes, sign_head=estate.audit_key.sign)
        told = _report(new, wanted, settings, now_us())
    return Made(estate_id, estate.anchor, key_file, tuple(mnemonics), told)


def _settings(home: Home, new: Home, wanted: Wanted, key_file: Path | None) -> Settings:
    """Write the new home's settings and return them; BadConfiguration, NoBackupTarget."""
    write_defaults(new.config, _properties(home, wanted, key_file))
    settings = Settings.load(new.config, {})
    write_remote(new.client_config, Remote(port=settings[SSL_PORT]))
    _check_backups(home, settings)
    return settings


def _accounts(wanted: Wanted, ring: KeyRing, now_us: int) -> list[Change]:
    """Return the first administrator's account, if he shall have one; BadPassword."""
    if wanted.command_password is None:
        return []
    account = Account(ADMINISTRATOR, Verifiers(ring.pepper).make(wanted.command_password), now_us, now_us)
    what = f"{ADMINISTRATOR}: the first command password"
    return [account, occurred(now_us, "account.create", ACTOR, message=what)]


def _first(own: list[Change], founding: Founding, wanted: Wanted, now_us: int) -> Iterator[Change]:
    """Yield everything of a new store but its keys, and the records of it."""
    yield from own
    what = f"{wanted.keys} keys for group {wanted.group}"
    yield occurred(now_us, "server.init", ACTOR, message=what)
    for record in founding.records:
        who = f"{record.role.name.lower()}/{record.name}, serial {record.serial}"
        yield occurred(now_us, "certificate.issue", ACTOR, message=who)


def _followed(
    first: Iterator[Change], keystore: Keystore, wanted: Wanted, tell: Callable[[int], None]
) -> Iterator[Change]:
    """Yield the first changes and then the keys as they are made."""
    yield from first
    for start in range(0, wanted.keys, _BATCH):
        keys = keystore.generate(min(_BATCH, wanted.keys - start), wanted.group)
        yield from keys
        tell(len(keys))


def _report(new: Home, wanted: Wanted, settings: Settings, now_us: int) -> tuple[str, ...]:
    """Write what was taken over, and from where, into the new home, and return it; nothing if nothing was."""
    if wanted.takeover is None:
        return ()
    lines = report(wanted.takeover, settings, now_us)
    create(new.takeover, "".join(f"{line}\n" for line in lines).encode())
    return tuple(lines)


def _key_file(home: Home, wanted: Wanted) -> Path | None:
    """Return where the key file will be; BadConfiguration if no service could start with what is wanted."""
    if not (wanted.key_file or wanted.means.password_named):
        raise BadConfiguration("the service starts with a key file or a password: it needs one of them")
    if wanted.means.key_file is not None and not wanted.key_file:
        raise BadConfiguration("a key file was named and is not wanted")
    return (wanted.means.key_file or home.root_key).absolute() if wanted.key_file else None


def _sealers(home: Home, new: Home, wanted: Wanted, place: Path | None) -> tuple[list[Sealer], list[str]]:
    """Return what opens the new store, its key file made if there is none yet, and its recovery shares."""
    sealers, mnemonics = list[Sealer](), list[str]()
    if wanted.means.password_named:
        password = wanted.means.password()
        check_password(password)  # before a key file is made
        sealers.append(PasswordSealer(password))
    if wanted.shares is not None:
        mnemonics = split(*wanted.shares)
        sealers.append(SharesSealer(mnemonics))
    if place is not None:
        key_file = KeyFileSealer(new.root_key if place == home.root_key else place)
        if place == home.root_key or not place.exists():
            key_file.create()
        sealers.append(key_file)
    return sealers, mnemonics


def _properties(home: Home, wanted: Wanted, key_file: Path | None) -> dict[str, str]:
    """Return what the settings say beside the defaults."""
    kind = PasswordSealer.kind if key_file is None else KeyFileSealer.kind
    properties = dict(wanted.properties) | {"keystore.slot": kind}
    if key_file is not None and key_file != home.root_key:
        properties["keystore.keyFile"] = str(key_file)
    return properties


def _check_backups(home: Home, settings: Settings) -> None:
    """Raise NoBackupTarget unless backups can be made and count, or nothing waits for them."""
    target = Target.of(settings, home.path)
    if settings["keystore.protect"] == NONE or (settings["keystore.protect"] == PEER and target is None):
        return
    if target is None:
        hint = (
            "name a directory on another file system with --backup-to (backup.target), "
            "or have every key on one disk only: --protect none (keystore.protect=none)"
        )
        raise NoBackupTarget("new keys wait for a backup, and there is nowhere to put one", hint=hint)
    target.check()
    if not (target.same_disk or target.command or target.is_elsewhere(home.path)):
        what = f"the directory {target.directory} (backup.target) is on the key manager's own file system"
        hint = "name one on another, or say that this one will do: --same-disk (backup.sameDisk=true)"
        raise NoBackupTarget(what, hint=hint)
