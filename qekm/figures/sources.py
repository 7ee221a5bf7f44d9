"""Which owners tell which figures, put together for a service."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from qekm.activity import Activity
from qekm.api.gateways import Gateways
from qekm.backup.keeping import Keeper
from qekm.families import Family, build, count
from qekm.figures import keeping, keys, peers, serving
from qekm.metrics import Metrics
from qekm.owners import Owners
from qekm.replication.links import Links
from qekm.store import Store

Lines = Callable[[], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom to ask. degraded, logs: what a status says. ssl_refused: connections to the SSL port."""

    owners: Owners
    store: Store
    keeper: Keeper
    activity: Activity
    gateways: Gateways
    links: Links
    degraded: Lines
    logs: Lines
    ssl_refused: Callable[[], int]

    def attach(self, metrics: Metrics) -> None:
        """Have all of them asked."""
        owners = self.owners
        metrics.sources += [
            lambda: build("qekm"),
            lambda: keys.drives(owners.registry),
            lambda: serving.activity(self.activity),
            lambda: serving.conversations(owners.serving, self.gateways),
            self._kept,
            lambda: keeping.certificates(owners.endings()),
            lambda: peers.peers(owners.peers.others, self.links),
            lambda: keys.keys(
                owners.allocator, owners.keystore, owners.registry
            ),  # last: of many groups it is long
        ]
        metrics.disks.append(lambda: keeping.disk(self.store))

    def _kept(self) -> Iterator[Family]:
        """Yield how well the store is kept."""
        owners, keystore = self.owners, self.owners.keystore
        yield from keeping.trail(self.store)
        yield from keeping.slots(owners.slots)
        yield from keeping.trouble(keystore.read_only, self.degraded(), self.logs())
        keeper, has_target = self.keeper, self.keeper.target is not None
        yield from keeping.backups(owners.backups, has_target, keeper.failures, keystore.created_seq)
        what = "Connections to the SSL port that were refused."
        yield count("qekm_ssl_refused", what, self.ssl_refused())
