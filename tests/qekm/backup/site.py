"""A key manager with a backup, made without a service: what restores begin with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qekm.backup.keeping import mute
from qekm.backup.members import AUDIT_KEY, CONFIG
from qekm.backup.writing import Sealing, Written, write
from qekm.clock import now_us
from qekm.configuration.settings import Settings
from qekm.estate import Estate
from qekm.home import Home
from qekm.init import Made, Wanted, make
from qekm.model import Change, Key
from qekm.offline import commit
from qekm.sealing import KeyFileSealer, KeyRing
from qekm.store import Snapshot, Store
from qekm.unlocking import Means, unlock

PASSWORD = "correct horse battery staple"


@dataclass
class Site:
    """A home, what init told of it, and where its backups go."""

    home: Home
    backups: Path
    made: Made
    mnemonics: Sequence[str] = field(default=())

    @classmethod
    def make(cls, path: Path, keys: int = 8, **properties: str) -> Site:
        """Make a key manager that a key file, a password and 2 of 3 shares open; dots as two underscores."""
        home, backups = Home(path / "home"), path / "backups"
        backups.mkdir(parents=True)
        (path / "password").write_text(PASSWORD)
        wanted = {
            "keystore.protect": "backup",
            "backup.target": str(backups),
            "backup.sameDisk": "true",
            **{name.replace("__", "."): value for name, value in properties.items()},
        }
        means = Means(password_file=path / "password")
        made = make(home, Wanted(("keys.example",), keys, means, True, (2, 3), wanted), now_us)
        return cls(home, backups, made, made.mnemonics)

    @property
    def settings(self) -> Settings:
        """The settings."""
        return Settings.load(self.home.config, {})

    def open(self, home: Home | None = None) -> Store:
        """Open the store of a home, ours unless another is named, with its key file."""
        home = home or self.home
        anchor = home.path / Settings.load(home.config, {})["keystore.anchor"]
        return Store.open(home.store, unlock(KeyFileSealer(home.root_key)), anchor=anchor)

    def change(self, *changes: Change) -> None:
        """Commit changes into the store."""
        store = self.open()
        try:
            found = store.load()
            commit(store, Estate.load(found.vaults, found.settings, store.ring), changes)
        finally:
            store.close()

    def load(self, home: Home | None = None) -> tuple[Snapshot, KeyRing]:
        """Return what a store holds and what opens it."""
        store = self.open(home)
        try:
            return store.load(), store.ring
        finally:
            store.close()

    def materials(self, home: Home | None = None) -> dict[str, bytes]:
        """Return every key there is in clear, by alias."""
        found, ring = self.load(home)
        return {key.alias: ring.open_key(key).reveal() for key in found.keys if key.sealed}

    def keys(self, home: Home | None = None) -> dict[str, Key]:
        """Return the keys by alias."""
        return {key.alias: key for key in self.load(home)[0].keys}

    def back_up(self) -> Written:
        """Write a backup of the store as it is now."""
        store = self.open()
        try:
            found = store.load()
            estate = Estate.load(found.vaults, found.settings, store.ring)
            copy = self.backups / "copy.db"
            store.copy_to(copy)
            others = {CONFIG: self.home.config.read_bytes(), AUDIT_KEY: estate.audit_public_pem}
            return write(copy, others, self.backups, Sealing(store.ring, estate.audit_key, now_us), mute)
        finally:
            store.close()
            copy.unlink()
