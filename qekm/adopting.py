"""Make an old copy of a store the present one, because there is no newer one: the way out of READ ONLY.

What is lost with the newer one nobody knows, so a new epoch begins (epoch.py): nothing that the lost store
may have given out is given again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing

from qekm.audit import occurred
from qekm.backup.reading import seen
from qekm.configuration.settings import Settings
from qekm.epoch import Epoch
from qekm.errors import NotBehind
from qekm.estate import BEHIND, Estate
from qekm.home import Home
from qekm.offline import commit
from qekm.pki import RandomBytes
from qekm.sealing import KeyRing, Sealer
from qekm.store import Store, Witness
from qekm.turning import Surroundings, turned
from qekm.unlocking import unlock

ACTOR = "adopt"  # in the audit trail


def adopt(
    home: Home,
    settings: Settings,
    sealer: Sealer,
    now_us: Callable[[], int],
    random_bytes: RandomBytes = os.urandom,
) -> Epoch:
    """Begin a new epoch of the store of a home while no service runs; NotBehind, StoreInUse, StoreDamaged."""
    around = Surroundings.of(home, settings)

    def witnesses(ring: KeyRing) -> list[Witness]:
        return [each for place in around.backups for each in seen(place, ring)]

    store = Store.open(home.store, unlock(sealer), anchor=around.anchor, witnesses=witnesses)
    with closing(store):
        found, ring = store.load(), store.ring
        why = found.settings.get(BEHIND) or store.behind
        if not why:
            raise NotBehind(f"nothing says that the store in {home.path} is an old copy")
        epoch = turned(found, ring, store.witness.epoch, settings, around, now_us, random_bytes)
        record = occurred(now_us(), "store.adopt", ACTOR, message=f"{why}; {epoch}")
        store.begin_epoch(epoch.number)
        commit(store, Estate.load(found.vaults, found.settings, ring), [*epoch.changes, record])
    return epoch
