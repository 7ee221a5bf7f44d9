"""Restore a backup while no service runs: onto an empty home, or in the place of the store that is there.

Everything is built and proved aside first. A restored store begins a new epoch (epoch.py), with certificates
of its own for this machine (reissuing.py); the key that drives trust is the old one, so they notice nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from qekm.audit import occurred
from qekm.backup.aside import Tell
from qekm.backup.cover import Cover
from qekm.backup.members import AUDIT_KEY, CONFIG
from qekm.backup.opening import ring_of
from qekm.backup.proving import examine
from qekm.backup.reading import Extracted, extract, key_of
from qekm.building import built
from qekm.configuration.remote import Remote, write_remote
from qekm.configuration.settings import Settings, amend
from qekm.durable import create
from qekm.epoch import ACTOR, Epoch
from qekm.errors import BadConfiguration, KeyInUse
from qekm.estate import Estate
from qekm.home import Home
from qekm.keystore import never_given
from qekm.model import Key, KeyState, Slot
from qekm.offline import commit
from qekm.peers import apart_of
from qekm.pki import RandomBytes
from qekm.properties.listeners import SSL_PORT
from qekm.reissuing import reissue
from qekm.sealing import KeyFileSealer, KeyRing
from qekm.secret import Secret
from qekm.store import Store
from qekm.turning import Surroundings, turned

FindRoot = Callable[[Cover], Secret]  # the root key of what a backup's cover shows


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be restored, and what shall be other than it was."""

    file: Path
    hosts: tuple[str, ...] = ()  # of server and gateway; none: those that they had
    properties: Mapping[str, str] = field(default_factory=dict)
    lose: int = 0  # keys that were given out and may be lost


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored."""

    extracted: Extracted
    epoch: Epoch
    key_file: Path | None  # what opens the store on this machine; None: what opened it before
    anchor: bytes  # SHA-256 of the key that signs for drives
    lost: Lost
    kept: str = ""  # what was added to the names of what was there before


@dataclass(frozen=True, slots=True)
class Present:
    """What is known of the store that a backup replaces; nothing, where there is none."""

    epoch: int = 0
    keys: tuple[Key, ...] = ()
    graves: frozenset[Path] = frozenset()  # directories in which tombstones may be

    @property
    def destroyed(self) -> frozenset[bytes]:
        """Return the ids of the keys that are destroyed in it."""
        return frozenset(key.key_id for key in self.keys if key.state is KeyState.DESTROYED)


@dataclass(frozen=True, slots=True)
class Lost:
    """How many keys of the store that is replaced are not in the backup."""

    made: int = 0
    given: int = 0  # of these: something may have been written with them

    @classmethod
    def of(cls, present: Present, backup: Iterable[Key]) -> Lost:
        """Compare the keys themselves: numbers tell nothing where a store had several epochs."""
        there = {key.key_id for key in backup}
        lost = [key for key in present.keys if key.sealed and key.key_id not in there]
        return cls(len(lost), sum(not never_given(key) for key in lost))

    def __str__(self) -> str:
        return f"{self.made:,} keys made since are not in it, {self.given:,} of them were given out"

    def check(self, accepted: int) -> None:
        """Raise KeyInUse unless it was said that exactly so many given keys are lost."""
        if self.given and self.given != accepted:
            hint = (
                "what is written with them could never be read again: restore a newer backup, or accept it "
                f"with --lose {self.given}"
            )
            raise KeyInUse(f"the backup is older than keys in use: {self}", hint=hint, lost=str(self.given))


@dataclass(frozen=True, slots=True)
class Restorer:
    """Restores into a home that is being built."""

    home: Home  # where it will be
    wanted: Wanted
    now_us: Callable[[], int]
    random_bytes: RandomBytes = os.urandom
    tell: Tell = lambda _step, _done, _total: None

    def onto_nothing(self, root_of: FindRoot) -> Restored:
        """Restore where no key manager is; HomeExists, BackupDamaged, UnknownBackup, what a slot raises."""
        with built(self.home) as new:
            return self.fill(new, root_of, Present())

    def fill(self, new: Home, root_of: FindRoot, present: Present) -> Restored:
        """Put a backup's store and everything that belongs to it into a new home."""
        found: list[tuple[Secret, KeyRing]] = []

        def unwrap(cover: Cover) -> Secret:
            root = root_of(cover)
            found.append((root, ring_of(cover, root)))
            return key_of(found[0][1], cover)

        try:
            new.store_directory.mkdir(mode=0o700)
            extracted = extract(self.wanted.file, unwrap, new.store_directory, self.tell)
            (new.store_directory / CONFIG).rename(new.config)
            (new.store_directory / AUDIT_KEY).rename(new.audit_key)
            root, ring = found[0]
            examine(new.store, new.audit_key, extracted.cover, ring, self.tell)
            return self._made_ours(new, extracted, root, ring, present)
        finally:
            for secret, _ in found:
                secret.wipe()

    def _made_ours(
        self, new: Home, extracted: Extracted, root: Secret, ring: KeyRing, present: Present
    ) -> Restored:
        """Make what was proved the store of this machine, in one commit."""
        settings, key_file = self._configure(new)
        store = Store.open(new.store, lambda _locked: ring)
        with closing(store):
            found = store.load()
            lost = Lost.of(present, found.keys)
            lost.check(self.wanted.lose)
            estate = Estate.load(found.vaults, found.settings, ring)
            around = replace(
                Surroundings.of(self.home, settings, self.wanted.file.parent),
                gone=present.destroyed,
                others=present.graves,
            )
            own_epoch = max(present.epoch, store.witness.epoch)
            epoch = turned(found, ring, own_epoch, settings, around, self.now_us, self.random_bytes)
            own = reissue(found, ring, self.wanted.hosts, self.now_us, self.random_bytes)
            what = f"{extracted.cover.header.name}; {epoch}" + (f"; {lost}" if present.keys else "")
            record = occurred(self.now_us(), "server.restore", ACTOR, message=what)
            slots, apart = self._slots(new, key_file, root), apart_of(found.peers, estate.instance)
            store.begin_epoch(epoch.number)
            commit(store, estate, [*slots, *apart, *own.issued, *own.revoked, *epoch.changes, record])
        for name, content in own.files.items():
            create(new.pki / name, content)
        return Restored(extracted, epoch, key_file, estate.anchor, lost)

    def _configure(self, new: Home) -> tuple[Settings, Path | None]:
        """Write the settings; return them, and where the key file is that opens the store on this machine.

        That is the one that they name, if there is a file, else a new one in the home.
        """
        overrides = dict(self.wanted.properties)
        before = Settings.load(new.config, {})["keystore.keyFile"]
        if "keystore.keyFile" not in overrides and not (self.home.path / before).exists():
            overrides["keystore.keyFile"] = self.home.root_key.name
        amend(new.config, overrides, keep=False)
        settings = Settings.load(new.config, {})
        write_remote(new.client_config, Remote(port=settings[SSL_PORT]))
        place = settings["keystore.keyFile"]
        if settings["keystore.slot"] != KeyFileSealer.kind:
            return settings, None
        if place.startswith("credential:"):
            raise BadConfiguration(
                f"{place} is no path: a restore makes a key file", property="keystore.keyFile"
            )
        return settings, self.home.path / place

    def _slots(self, new: Home, key_file: Path | None, root: Secret) -> list[Slot]:
        """Return the slot of this machine's key file, in the place of the old machine's; others stay."""
        if key_file is None:
            return []
        sealer = KeyFileSealer(new.root_key if key_file == self.home.root_key else key_file)
        if key_file == self.home.root_key or not key_file.exists():
            sealer.create()
        return [Slot(sealer.kind, sealer.seal(root), sealer.kind, self.now_us())]
