"""The judges of several servers: the drives' books against what each gives, and store against store."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from hashlib import sha256

from qekm.dkp.codes import Ask
from qekm.dkp.names import alias_to_dki
from qekm.model import KeyState
from qekm.store.shared import SHARED
from qekm_gateway.simulator.errand import Errand
from qekm_gateway.simulator.sense import CheckCondition
from tests.faults.verdict import Entry
from tests.peers.server import Server
from tests.peers.site import Site

Row = tuple[object, ...]
_ALWAYS_MOVING = "checkpoints"  # each start and stop writes one, which the other has a moment later


def unread(site: Site, server: Server, entries: Iterable[Entry]) -> list[str]:
    """Have a drive read the cartridges in books with one server alone; return what keys it did not get."""
    drive, lost = site.drives[0], list[str]()
    library = site.library(drive, server)
    recorded, drive.record = drive.record, lambda _key, _errand: None
    with site.place.entered():
        for alias, digest, volser in sorted({(each.alias, each.digest, each.volser) for each in entries}):
            drive.clear()
            errand = Errand(Ask.ACQUIRE, volser, os.urandom(16), library.serial, dki=alias_to_dki(alias))
            try:
                key = library.request(drive.serial, errand).key
            except CheckCondition as problem:
                print(f"{alias}: {problem}")
                key = None
            if key is None or sha256(key.material).hexdigest() != digest:
                lost.append(alias)
    drive.record = recorded
    return lost


def shared_rows(server: Server) -> dict[str, set[Row]]:
    """Return the rows that a stopped server shares with the others, their MACs too, by table."""
    with closing(sqlite3.connect(f"file:{server.home.store}?mode=ro", uri=True)) as store:
        found = {name: set(store.execute(f"SELECT * FROM {name}")) for name in SHARED}
    found["vaults"] = {row for row in found["vaults"] if row[0] != "audit"}
    del found[_ALWAYS_MOVING]
    return found


def conflicts(*servers: Server) -> list[str]:
    """Return the rows that stopped servers do not have alike."""
    first, *others = map(shared_rows, servers)
    return [
        f"{table}: {row[0]!r}"
        for other in others
        for table in first
        for row in sorted(first[table] ^ other[table], key=repr)
    ]


def unprotected(server: Server) -> int:
    """Return how many keys on a server's disk wait to be READY: they still change, and soon at the others."""
    with closing(sqlite3.connect(f"file:{server.home.store}?mode=ro", uri=True)) as store:
        row = store.execute(
            "SELECT count(*) FROM keys WHERE state = ?", (int(KeyState.GENERATED),)
        ).fetchone()
    return int(row[0])


def held(server: Server) -> int:
    """Return how many keys are on a server's disk, whatever its service says."""
    with closing(sqlite3.connect(f"file:{server.home.store}?mode=ro", uri=True)) as store:
        return int(store.execute("SELECT count(*) FROM keys").fetchone()[0])
