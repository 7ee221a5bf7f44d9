"""Check a store that nobody serves: every row, every key's material, the whole trail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qekm.audit import verify_trail
from qekm.configuration.settings import Settings
from qekm.errors import StoreDamaged
from qekm.estate import BEHIND, Estate
from qekm.home import Home
from qekm.sealing import Sealer
from qekm.standing import open_store


@dataclass(frozen=True, slots=True)
class Checked:
    """What was looked at, what is wrong (empty: nothing), and why the store may be an old copy."""

    keys: int
    records: int
    flaws: tuple[str, ...]
    behind: str


def check(home: Home, settings: Settings, sealer: Sealer, tell: Callable[[int], None]) -> Checked:
    """Look at everything; nothing is written but what opening a store mends by itself.

    tell: called with how many rows more are verified. StoreInUse, StoreNewer, BadPassword, BadConfiguration.
    """
    try:
        store = open_store(home, settings, sealer, tell)
    except StoreDamaged as error:
        return Checked(0, 0, (error.message,), "")
    try:
        found, flaws = store.load(), []
        try:
            store.check_file()
        except StoreDamaged as error:
            flaws.append(error.message)
        for key in found.keys:
            try:
                if key.sealed:
                    store.ring.open_key(key).wipe()
            except StoreDamaged as error:
                flaws.append(error.message)
        public_key = Estate.load(found.vaults, found.settings, store.ring).audit_key.public_key()
        verdict = verify_trail(store.iterate_audit(), public_key, store.audit_count())
        if not verdict.intact:
            flaws.append(f"audit record {verdict.broken_at:,}: {verdict.reason}")
        doubted = found.settings.get(BEHIND) or store.behind
        return Checked(len(found.keys), verdict.checked, tuple(flaws), doubted)
    finally:
        store.close()
