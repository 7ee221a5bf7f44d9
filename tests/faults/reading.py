"""Everything that can be read of a store, by every way of asking: what damage may not change unnoticed."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path

from qekm.checking import check
from qekm.configuration.settings import Settings
from qekm.errors import QekmError
from qekm.home import Home
from qekm.sealing import KeyFileSealer
from qekm.secret import Secret
from qekm.store import Store
from qekm.unlocking import unlock

_ALL = 10**6
Told = dict[str, object]


class Refused(Exception):
    """Whoever asks is told that something is wrong; says by what."""


def read(store: Store) -> Told:
    """Return all nouns, every key's material (its SHA-256), the trail, and what the indexes lead to."""
    found = store.load()
    told: Told = {each.name: getattr(found, each.name) for each in fields(found)}
    told["materials"] = {key.alias: _hash(store.ring.open_key(key)) for key in found.keys if key.sealed}
    told["secrets"] = {
        name: _hash(store.ring.open_vault(vault)) for name, vault in found.vaults.items() if vault.sealed
    }
    told["trail"] = list(store.iterate_audit())
    told["newest"] = store.audit_page(0, _ALL, newest_first=True)
    uses = store.cartridges_page(0, _ALL)
    told["uses"] = uses
    for _, use in uses:
        told["volser " + use.volser] = store.cartridges_page(0, _ALL, volser=use.volser)
        told["alias " + use.alias] = store.cartridges_page(0, _ALL, alias=use.alias)
    told["estate"] = store.estate_id
    return told


def look(folder: Path, expected: Told | None = None) -> Told:
    """Return what a home's store tells its service; Refused says who noticed that something is wrong.

    expected: what it should tell. If it tells anything else, and not before, the full check is asked, too.
    """
    home = Home(folder)
    sealer = KeyFileSealer(home.root_key)
    try:
        store = Store.open(home.store, unlock(sealer), anchor=home.anchor)
    except QekmError as error:
        raise Refused("at its opening") from error
    try:
        if store.behind:
            raise Refused("by a witness")
        told = read(store)
    except QekmError as error:
        raise Refused("when it is read") from error
    finally:
        store.close()
    if expected is not None and told != expected:
        try:
            found = check(home, Settings.load(home.config), sealer, lambda _rows: None)
        except QekmError as error:
            raise Refused("by the full check") from error
        if found.flaws or found.behind:
            raise Refused("by the full check")
    return told


def _hash(secret: Secret) -> str:
    with secret:
        return hashlib.sha256(secret.reveal()).hexdigest()
