"""What a store shows before it is unlocked: enough to find the root key, and not yet verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine, select

from qekm.errors import StoreDamaged
from qekm.store import tables
from qekm.store.engine import translated

OLDEST, CURRENT = "record.oldest", "record.current"  # settings: versions of the record key that are in use
MOST_VERSIONS = 65_535  # two bytes in each box


@dataclass(frozen=True, slots=True)
class Locked:
    """A locked store: its estate, the sealed root key by name of its slot, versions of the record key."""

    estate_id: bytes
    slots: Mapping[str, bytes]
    versions: tuple[int, ...]


def look(engine: Engine) -> Locked:
    """Read what unlocking needs, of any revision; StoreDamaged."""
    settings, slots = tables.settings.c, tables.slots.c
    with translated(), engine.connect() as connection:
        estates = connection.execute(select(tables.estate)).scalars().all()
        sealed = {row.name: row.sealed for row in connection.execute(select(slots.name, slots.sealed))}
        named = select(settings.name, settings.value).where(settings.name.in_((OLDEST, CURRENT)))
        values = {row.name: row.value for row in connection.execute(named)}
    if len(estates) != 1 or not isinstance(estates[0], bytes):
        raise StoreDamaged("the store does not tell its estate")
    if not all(isinstance(name, str) and isinstance(box, bytes) for name, box in sealed.items()):
        raise StoreDamaged("the store's slots hold what cannot be")
    try:
        oldest, current = int(values.get(OLDEST, 1)), int(values.get(CURRENT, 1))
    except (ValueError, TypeError):
        oldest, current = 0, 0
    if not 1 <= oldest <= current <= MOST_VERSIONS:
        raise StoreDamaged("the store does not tell the versions of its record key")
    return Locked(estates[0], sealed, tuple(range(oldest, current + 1)))
