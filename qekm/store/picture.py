"""What a copy of a store says of itself while it lies still: where the store was, and how much it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from qekm.errors import StoreDamaged
from qekm.store import engine as database
from qekm.store import tables
from qekm.store.chain import Head
from qekm.store.integrity import is_authenticated
from qekm.store.locked import Locked, look


@dataclass(frozen=True, slots=True)
class Picture:
    """A store at one commit; nothing of it is verified."""

    locked: Locked
    epoch: int
    sequence: int
    root: bytes
    key_count: int
    created_seq: int  # of the newest key
    head: Head


def picture_of(path: Path) -> Picture:
    """Read a copy that nobody writes; no byte of it is touched. StoreDamaged, StoreFailed."""
    engine = database.look_at(path)
    audit, keys, roots = tables.audit.c, tables.keys.c, tables.roots.c
    with database.translated(), engine.connect() as connection:
        if not is_authenticated(connection):
            raise StoreDamaged(f"{path.name} is no store")
        root = connection.execute(select(roots.epoch, roots.sequence, roots.mac)).first()
        last = select(audit.sequence, audit.hash).order_by(audit.sequence.desc()).limit(1)
        head = connection.execute(last).first()
        count, newest = connection.execute(select(func.count(), func.max(keys.created_seq))).one()
    if root is None:
        raise StoreDamaged("the copy of the store has no root")
    return Picture(look(engine), *root, count, newest or 0, Head(*head) if head else Head())
