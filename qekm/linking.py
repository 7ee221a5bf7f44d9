"""The links to the other servers of the estate, put together over what a start has loaded."""

from __future__ import annotations

from collections.abc import Callable

from qekm import __version__
from qekm.clock import steady_s
from qekm.owners import Owners
from qekm.pki import RandomBytes
from qekm.replication.comparing import blank_of_store, tables_of_store
from qekm.replication.conversation import Own
from qekm.replication.ground import Ground
from qekm.replication.links import Links
from qekm.replication.merging import Merging
from qekm.rpc.peer import Dialler
from qekm.rpc.tls import Files
from qekm.store import Store
from qekm.store.schema import PRESENT


def links_of(
    store: Store,
    owners: Owners,
    merging: Merging,
    files: Files,
    now_us: Callable[[], int],
    random_bytes: RandomBytes,
) -> Links:
    """Return the links of a service; `files` are what it shows when it calls another server."""
    estate = owners.estate
    own = Own(
        owners.peers.own_name,
        estate.instance,
        estate.epoch,
        __version__,
        PRESENT.revisions[-1],
        tables_of_store(),
        blank_of_store,
    )
    ground = Ground(
        own,
        store,
        merging,
        owners.peers,
        owners.keystore,
        owners.settings,
        now_us,
        steady_s,
        random_bytes,
    )
    return Links(ground, owners.cursors, Dialler(files))
