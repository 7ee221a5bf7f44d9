"""A small key manager with something of everything in its store: what damage is done to."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from qekm.clock import now_us
from qekm.dkp.codes import Ask
from qekm.home import Home
from qekm.model import (
    Approval,
    Backup,
    BackupState,
    BlockedKey,
    Change,
    Drive,
    DriveState,
    KeyState,
    OnExhaustion,
    Partner,
)
from qekm_gateway.simulator.asking import Session
from qekm_gateway.simulator.errand import Errand
from tests.qekm.api.drives_at_work import Asking, Site, play
from tests.qekm.api.running import Running, running

KEYS, MOUNTS = 24, 10


async def make_small(path: Path) -> Home:
    """Make a home, have two drives write and read there, and leave keys of it in every state.

    Beside the home lies `earlier.db`, its store as it was before half of that.
    """
    async with running(path, keys=KEYS, keystore__protect="none") as run:
        site = await Site.of(run)
        drives = [site.drive(serial) for serial in ("001300000392", "001310000363")]
        async with run.gateway() as gateway:
            for number in range(MOUNTS):
                errand = Errand(Ask.CREATE, f"F{number:05d}L4", os.urandom(16), "LIB1")
                drive = drives[number % len(drives)]
                # Some break off before the key is confirmed: SUSPECT.
                asking = Asking(Session(drive, errand, site.anchors, os.urandom, now_us))
                await play(gateway, asking, steps=2 if number % 5 == 4 else 9)
                if number == MOUNTS // 2:
                    await asyncio.to_thread(run.store.copy_to, path.with_name("earlier.db"))
        await run.store.commit(_more(run))
    return Home(path)


def _more(run: Running) -> list[Change]:
    """Return keys in the other states, and one of each noun that nothing above has made."""
    owners, now = run.service.owners, now_us()
    keystore = owners.keystore
    used = [key.alias for key in keystore if key.state is KeyState.ACTIVE]
    changes: list[Change] = [
        *keystore.retire(used[:1], KeyState.PROCESS_ONLY),
        *keystore.retire(used[1:2], KeyState.COMPROMISED),
        *keystore.condemn(used[2:3], now + 10**12),
        *keystore.condemn(used[3:4], now - 1),
        *keystore.destroy_due(now, 10),
        *owners.allocator.create("archive", OnExhaustion.REFUSE),
        *keystore.generate(2, "archive"),
        BlockedKey(os.urandom(32), now),
        Drive("001320000001", DriveState.PENDING, now, os.urandom(8), "IBM", "ULT3580-TD4", "77BE"),
        Approval("0a1b2c3d", "export", os.urandom(32), "3 keys to partner", "operator/bob", now, now + 1),
        Backup("one", now, 1, 9, 20, 24, 9_999, os.urandom(32), "/backups", True, BackupState.FAILED),
        Partner("partner", os.urandom(300), os.urandom(32), b"", now, now),
    ]
    return changes
