"""`make golden`: write tests/golden/VERSION, a store and a backup of this version and what is found in them.

Part of a release, and never done again for the same version. The store's root key lies beside it: it was
made for this file, and opens nothing else.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qekm import __version__
from qekm.dkp.codes import Ask
from qekm.sealing import KeyFileSealer
from qekm.store import Store
from qekm.unlocking import unlock
from qekm.v1.accounts_pb2 import CreateAccountRequest
from qekm.v1.backups_pb2 import CreateBackupRequest
from qekm.v1.certificates_pb2 import ROLE_OPERATOR
from qekm.v1.peers_pb2 import InvitePeerRequest
from qekm_gateway.simulator.errand import Errand
from tests.faults.site import working

HERE = Path(__file__).parent


def describe(store: Store) -> dict[str, object]:
    """Return what a store holds, keys by their SHA-256: what a later version must find again."""
    found, ring = store.load(), store.ring
    keys = {}
    for key in found.keys:
        with ring.open_key(key) as material:
            digest = hashlib.sha256(material.reveal()).hexdigest()
        keys[key.alias] = {
            "sha256": digest,
            "state": key.state.name,
            "group": key.group,
            "volser": key.volser,
        }
    return {
        "estate": store.estate_id.hex(),
        "keys": keys,
        "groups": sorted(group.name for group in found.groups),
        "drives": sorted(drive.serial for drive in found.drives),
        "accounts": sorted(account.actor for account in found.accounts),
        "vaults": sorted(found.vaults),
        "records": store.audit_count(),
        "peers": {peer.name: peer.state.name for peer in found.peers},
        "uses": sorted(use.volser for _, use in store.cartridges_page(0, 100)),
        "journal": store.journal_end,
    }


@contextmanager
def opened(folder: Path, scratch: Path) -> Iterator[Store]:
    """Open a copy of a golden store with this version; yield it."""
    for path in (folder / "qekm.db", folder / "root.key"):
        shutil.copy(path, scratch / path.name)
        (scratch / path.name).chmod(0o600)  # a checkout knows no such mode
    store = Store.open(scratch / "qekm.db", unlock(KeyFileSealer(scratch / "root.key")))
    try:
        yield store
    finally:
        store.close()


def main() -> int:
    """Make the folder of this version; refuse if it is there."""
    folder = HERE / __version__
    if folder.exists():
        print(f"tests/golden/{__version__} is there already: a released store never changes", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as name:
        target = Path(name) / "backups"
        target.mkdir()
        with working(Path(name), keys=8, backup__target=str(target), backup__sameDisk="true") as site:
            home = site.estate.home
            for drive, volser in zip(site.drives, ("G00001L4", "G00002L4"), strict=True):
                errand = Errand(Ask.CREATE, volser, os.urandom(16), "GOLDEN")
                assert site.library(drive).request(drive.serial, errand).confirmed
            with site.estate.client() as client:
                password = os.urandom(16).hex().encode()  # nobody's
                account = CreateAccountRequest(role=ROLE_OPERATOR, name="olga", password=password)
                client.accounts.CreateAccount(account)
                invited = InvitePeerRequest(name="second", hosts=["localhost"], own_address="localhost:443")
                client.peers.InvitePeer(invited)  # a journal is kept from here on
                made = list(client.backups.CreateBackup(CreateBackupRequest()))[-1].backup
            site.estate.stop()
            folder.mkdir()
            shutil.copy(target / made.name, folder / "backup.qbk")
            for path in (home.store, home.root_key, home.audit_key):
                shutil.copy(path, folder / path.name)
        with opened(folder, Path(name)) as store:
            expected = describe(store)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
    print(f"made tests/golden/{__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
