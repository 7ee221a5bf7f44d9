"""What a server does because there are others, put together; what it does alone is in `Duties`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qekm.alarms.peers import PeerAlarms
from qekm.awaiting import Awaiting
from qekm.checkpointing import Checkpointing
from qekm.clock import steady_s
from qekm.configuration.owner import Configuration
from qekm.configuration.shared import SharedProperties
from qekm.duties import Duties
from qekm.linking import links_of
from qekm.model import Change, Checkpoint, Key, Peer, SharedProperty, Vault
from qekm.owners import Owners
from qekm.pki import RandomBytes
from qekm.properties.peers import AWAY
from qekm.protecting import Protecting
from qekm.replication.merging import Merging
from qekm.rpc.tls import Files
from qekm.store import Store
from qekm.store.shared import TABLES
from qekm.upkeep import Duty

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
    ) -> None:
        """Put them together. files: what is shown to others."""
        self.merging = merging = Merging(owners, store)
        self.links = links = links_of(store, owners, merging, files, now_us, random_bytes)
        self._owners, self._store = owners, store
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
        """Call other servers."""
        if self._store.journaling:
            await self._store.begin_journal()  # goes on where a crash left it
        self.merging.start()
        await self.links.start()

    async def close(self) -> None:
        """Tell the others how far this server was, and end the links. StoreFailed."""
        await self.checkpointing.tell()
        await self.links.close()

    def lines(self) -> list[str]:
        """Return what a status says of the other servers."""
        parts = self.alarms.lines(), self.properties.lines()
        apart = [peer.name for peer in self._owners.peers.others if self._owners.peers.is_apart(peer)]
        kept = f"restored, keeps apart from {', '.join(apart)}: qekm peers rejoin, or qekm peers remove"
        conflicts = [f"key {alias}: {why}" for alias, why in self.merging.conflicts.items()]
        return [*(line for part in parts for line in part), *conflicts, *([kept] if apart else [])]

    def _is_low(self) -> bool:
        allocator, registry = self._owners.allocator, self._owners.registry
        return any(
            allocator.is_low(group.name, registry.names_group) for group in allocator.page(limit=_GROUPS)
        )
