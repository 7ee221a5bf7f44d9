"""What a server does because there are others, put together; what it does alone is in `Duties`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from qekm.alarms.peers import PeerAlarms
from qekm.awaiting import Awaiting
from qekm.checkpointing import Checkpointing
from qekm.clock import steady_s
from qekm.configuration.owner import Configuration
from qekm.configuration.shared import SharedProperties
from qekm.duties import Duties
from qekm.linking import links_of
from qekm.metrics import Metrics, counter, gauge
from qekm.model import Change, Checkpoint, Key, Peer, SharedProperty, Vault
from qekm.owners import Owners
from qekm.pki import RandomBytes
from qekm.properties.listeners import METRICS_PORT
from qekm.properties.peers import AWAY
from qekm.protecting import Protecting
from qekm.replication.merging import Merging
from qekm.rpc.tls import Files
from qekm.store import Store
from qekm.store.shared import TABLES
from qekm.upkeep import Duty

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_GROUPS = 10_000


class Federation:
    """The conversations with and about other servers: `start` before anything listens, `close` at the end."""

    def __init__(
        self,
        owners: Owners,
        store: Store,
        configuration: Configuration,
        files: Files,
        now_us: Callable[[], int],
        random_bytes: RandomBytes,
        ssl_refused: Callable[[], int],
    ) -> None:
        """Put them together. files: what is shown to others. ssl_refused: connections that were refused."""
        self.merging = merging = Merging(owners, store)
        self.links = links = links_of(store, owners, merging, files, now_us, random_bytes)
        self._owners, self._store, self._ssl_refused = owners, store, ssl_refused
        settings, clocks = configuration.settings, (now_us, steady_s)
        keystore, peers = owners.keystore, owners.peers
        self.awaiting = Awaiting(links, store, settings, lambda: bool(peers.others))
        owners.serving.require_peer(self.awaiting.is_alone)
        self.protecting = Protecting(
            owners.protection, keystore, store, links, self._is_low, lambda: settings[AWAY] * 60.0, clocks
        )
        self.checkpointing = Checkpointing(owners.checkpoints, store, keystore, owners.settings, now_us)

        def author(name: str) -> str:
            """Return the name of the server that changed a property last."""
            origin = store.stamps.author(TABLES[SharedProperty], name) if store.stamps else b""
            return next((peer.name for peer in peers if peer.instance == origin), origin.hex())

        self.properties = SharedProperties(owners.shared, configuration, store, author, now_us)
        self.alarms = PeerAlarms(peers, links.status, settings, store.commit, clocks)
        self.metrics = Metrics(settings[METRICS_PORT])
        self.metrics.sources.append(self._figures)
        links.on_behind.append(self.checkpointing.doubt)
        merging.watch(TABLES[Checkpoint], self.checkpointing.heard)
        merging.watch(TABLES[Peer], lambda _peer: self._heed_removal())
        self._heed_removal()  # a crash may have come before that was remembered
        merging.watch(TABLES[SharedProperty], self.properties.heard)

    def _heed_removal(self) -> None:
        """Give no new keys once removed: nobody would know of them, and backups are no second server."""
        if reason := self._owners.peers.removal:
            self.checkpointing.doubt(reason)

    def attend(self, duties: Duties, renew: Callable[[], None]) -> None:
        """Have keys and record keys end only when all servers agree, and hear what others have ended.

        renew: has certificates looked at soon.
        """
        duties.destroyer.may = lambda: self.links.are_complete
        duties.rotating.peers_ready = self.links.may_forget
        self.merging.watch(TABLES[Key], duties.destroyer.hear)
        self.merging.watch(TABLES[Vault], lambda _vault: renew())

    @property
    def ticks(self) -> list[Duty]:
        """Return what each does when it looks, every second."""
        parts = self.awaiting, self.protecting, self.checkpointing, self.properties, self.alarms
        return [part.tick for part in parts]

    def begin(self, before: Mapping[str, str] | None) -> list[Change]:
        """Return what to commit at a start; before: the properties of the last run."""
        return self.properties.start(before)

    async def start(self) -> None:
        """Call other servers, and listen for whoever wants figures."""
        if self._store.journaling:
            await self._store.begin_journal()  # goes on where a crash left it
        self.merging.start()
        await self.links.start()
        await self.metrics.start()

    async def close(self) -> None:
        """Tell the others how far this server was, and end the links. StoreFailed."""
        await self.metrics.close()
        await self.checkpointing.tell()
        await self.links.close()

    def lines(self) -> list[str]:
        """Return what a status says of the other servers."""
        parts = self.alarms.lines(), self.properties.lines(), self.metrics.lines()
        conflicts = [f"key {alias}: {why}" for alias, why in self.merging.conflicts.items()]
        return [*(line for part in parts for line in part), *conflicts]

    def _is_low(self) -> bool:
        allocator, registry = self._owners.allocator, self._owners.registry
        return any(
            allocator.is_low(group.name, registry.names_group) for group in allocator.page(limit=_GROUPS)
        )

    def _figures(self) -> Iterator[Metric]:
        found = [(peer.name, self.links.status(peer.name)) for peer in self._owners.peers.others]
        links = [((name,), link) for name, link in found if link is not None]
        yield gauge(
            "qekm_peer_connected",
            "Whether the stream to a server stands.",
            ((name, float(link.connected)) for name, link in links),
            "peer",
        )
        yield gauge(
            "qekm_peer_lag_records",
            "Records of this server that a peer has not on its disk.",
            ((name, link.lag_records) for name, link in links),
            "peer",
        )
        yield gauge(
            "qekm_peer_lag_seconds",
            "Seconds since a peer had everything.",
            ((name, link.lag_seconds) for name, link in links),
            "peer",
        )
        yield gauge(
            "qekm_peer_diverged",
            "Whether the store of a peer differs from this one's.",
            ((name, float(bool(link.differences))) for name, link in links),
            "peer",
        )
        yield counter("qekm_peer_refused", "Streams that were refused.", self.links.refused)
        yield counter(
            "qekm_ssl_refused", "Connections to the SSL port that were refused.", self._ssl_refused()
        )
        yield gauge("qekm_keys", "Keys by group and state.", self._keys(), "group", "state")

    def _keys(self) -> Iterator[tuple[tuple[str, ...], float]]:
        for group in self._owners.allocator.page(limit=_GROUPS):
            for state, count in self._owners.keystore.counts(group.name).items():
                yield (group.name, state.name.lower()), count
