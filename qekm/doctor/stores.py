"""What can be said of a store and its backups without opening it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from qekm.backup.target import Target
from qekm.configuration.settings import Settings
from qekm.doctor.certificates import as_time
from qekm.doctor.finding import Seen, broken, doubtful, fine
from qekm.home import Home
from qekm.protection import NONE, PEER
from qekm.store.glance import Glance, glance

OLD = timedelta(days=7)  # for the newest backup; one is made each day by default
_AGAIN = "make one: qekm backup create"


def look(home: Home, estates: set[str]) -> Iterator[Seen]:
    """Look at the store of a home; StoreDamaged, OSError. estates: those of its certificates, hex."""
    return judge(glance(home.store), estates)


def judge(seen: Glance, estates: set[str]) -> Iterator[Seen]:
    """Yield what keeps this program from serving a store. Pure."""
    known = seen.known[-1]
    if seen.is_newer:
        told = f"the store is of revision {seen.revision}, this program knows {known}"
        yield broken(told, "install the newer program that made it; never the other way round")
    elif estates and seen.estate.hex() not in estates:
        told = f"the store is of the estate {seen.estate.hex()[:8]}, the certificates of another"
        yield broken(told, "put back the directory pki, or the store, that belong together")
    elif seen.revision != known:
        yield fine(f"revision {seen.revision}; the next start brings it to {known}")
    else:
        yield fine(f"revision {seen.revision}")


@dataclass(frozen=True, slots=True)
class Backups:
    """What is known of where backups go, and of the last good one (0: there is none).

    wanted: whether new keys wait for one. elsewhere: whether the target is on another disk.
    """

    directory: Path | None
    there: bool
    writable: bool
    elsewhere: bool
    same_disk: bool
    wanted: bool
    verified_us: int


def survey(home: Home, settings: Settings) -> Backups:
    """Take what there is; OSError, StoreDamaged."""
    target, wanted = Target.of(settings, home.path), settings["keystore.protect"] not in (NONE, PEER)
    verified_us = glance(home.store).verified_us
    if target is None:
        return Backups(None, False, False, False, False, wanted, verified_us)
    there = target.directory.is_dir()
    writable = there and os.access(target.directory, os.W_OK | os.X_OK, effective_ids=True)
    elsewhere = bool(target.command) or (there and target.is_elsewhere(home.store))
    return Backups(target.directory, there, writable, elsewhere, target.same_disk, wanted, verified_us)


def judge_backups(seen: Backups, now: datetime) -> Iterator[Seen]:
    """Yield what is wrong with the backups. Pure."""
    name = "backup.target"
    if seen.directory is None:
        told = f"there is nowhere to put a backup ({name}): what is lost here is lost"
        yield doubtful(told, f"qekm-server config set {name}=DIRECTORY, on another disk")
        return
    if not seen.there:
        told = f"the directory {seen.directory} ({name}) is not there"
        yield broken(told, f"mount or make it: ls -ld {seen.directory}; findmnt")
        return
    if not seen.writable:
        yield broken(f"{seen.directory} ({name}) cannot be written", f"ls -ld {seen.directory}; findmnt")
        return
    if not seen.elsewhere:
        told = f"{seen.directory} ({name}) is on the store's own file system"
        yield doubtful(told, f"qekm-server config set {name}=DIRECTORY, on another disk")
    yield from _age(seen, now)


def _age(seen: Backups, now: datetime) -> Iterator[Seen]:
    if not seen.verified_us:
        yield doubtful("there is no verified backup yet", _AGAIN)
        return
    made = as_time(seen.verified_us / 1e6)
    told = f"the newest verified backup is of {made:%Y-%m-%d %H:%M} UTC"
    yield doubtful(told, _AGAIN) if now - made > OLD else fine(told)
