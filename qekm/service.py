"""The service: one key manager over its open store, and the order in which it starts and stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from urllib.parse import unquote

from qekm import __version__, clock, collecting
from qekm.accounts import unguarded
from qekm.activity import Activity
from qekm.alarming import Alarming
from qekm.api.configuring import Configuring
from qekm.api.consent import OFF
from qekm.api.entry import Entry
from qekm.api.gateways import Gateways
from qekm.api.guard import interceptors
from qekm.api.servicers import NAMES, Servicers
from qekm.audit import SERVICE, Strangers, occurred, stranger
from qekm.configuration.differences import recall
from qekm.configuration.keyset import KeySet
from qekm.configuration.owner import Configuration
from qekm.configuration.parts import at_once
from qekm.configuration.settings import Settings
from qekm.drivetable import DriveTable
from qekm.duties import Duties
from qekm.errors import Draining, QekmError, StoreFailed
from qekm.estate import ONE_PERSON
from qekm.federation import Federation
from qekm.figures import Sources
from qekm.home import Home
from qekm.listeners import Listeners
from qekm.logs.debugging import Tap
from qekm.logs.keeping import CHANGEABLE, Logs
from qekm.logs.outlets import Outlets
from qekm.metrics import Metrics
from qekm.model import AuditRecord, Change, Setting
from qekm.owners import Owners
from qekm.pki import RandomBytes
from qekm.properties.listeners import METRICS_PORT, SSL_GATEWAYS, SSL_HOST, SSL_PORT
from qekm.rpc.handlers import Handlers
from qekm.rpc.handshakes import Handshakes
from qekm.rpc.identity import Identity
from qekm.rpc.tls import Files, publish
from qekm.serving.policy import NAMES as POLICY
from qekm.serving.policy import policy_of
from qekm.source import host_of
from qekm.ssl_listener import SslListener
from qekm.standing import doubt
from qekm.store import Store
from qekm.tracing import Traces
from qekm.upkeep import Upkeep

_log = logging.getLogger(__name__)

STUCK_S = 20.0  # in one transaction: every drive that waits for it has given up
GRACE_S = 6.0  # for calls under way when the service is asked to stop; it must have ended after 10 s


class Service:
    """Loads when it is made, listens from `start` to `stop`; made and run in one event loop."""

    def __init__(
        self,
        home: Home,
        settings: Settings,
        store: Store,
        now_us: Callable[[], int] = clock.now_us,
        random_bytes: RandomBytes = os.urandom,
        outlets: Outlets | None = None,
    ) -> None:
        """Read an open store; StoreDamaged, StoreFailed, NotInitialised for a missing certificate."""
        self._store, self._now_us = store, now_us
        self._files = Files(home.certificate("server"), home.key("server"), home.trust, home.gateway_trust)
        self.owners = Owners.load(store, settings, self._files.read()[0], now_us, random_bytes)
        collecting.spare()
        self._refusals = Strangers("rpc.refuse")
        self.activity = Activity()
        self.gateways = Gateways()
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self.upkeep = Upkeep(self.owners, self._refusals, store, self._publish, now_us)
        self.duties = Duties.of(home, settings, store, self.owners, now_us, random_bytes)
        self.upkeep.duties += self.duties.ticks
        self._configure(home, settings, outlets or Outlets())
        given = self._files, now_us, random_bytes
        self.federation = Federation(self.owners, store, self.configuration, *given)
        self.federation.attend(self.duties, self.upkeep.hasten)
        self.links, self.awaiting = self.federation.links, self.federation.awaiting
        self.links.fail = self._fail
        told = self.gateways, self.logs.lines, now_us, random_bytes
        self.alarms = Alarming.of(home, settings, self.owners, store, *told)
        self.upkeep.duties += [*self.federation.ticks, self.alarms.tick]
        self.traces = Traces("qekm-server", settings, home.path)
        servicers = Servicers(
            owners=self.owners,
            store=store,
            gateways=self.gateways,
            settings=settings,
            refusals=self._refusals,
            keeper=self.duties.keeper,
            lines=self.lines,
            rotating=self.duties.rotating,
            stop=self.end,
            publish=self._publish,
            now_us=now_us,
            random_bytes=random_bytes,
            tap=self._tap,
            configuration=self.configuration,
            keyset=self.keyset,
            ssl_port=lambda: self.ssl.port,
            ssl_refused=lambda: self.ssl.refused,
            links=self.links,
            awaiting=self.awaiting,
            activity=self.activity,
            alarms=self.alarms,
            tracing=self.traces.tracing,
        )
        self._listen(settings, servicers)
        self.metrics = Metrics(settings[METRICS_PORT])
        seen = self.gateways, self.links, self.lines, self.logs.lines, lambda: self.ssl.refused
        Sources(self.owners, store, self.duties.keeper, self.activity, *seen).attach(self.metrics)
        self._task: asyncio.Task[None] | None = None
        self._ports: dict[str, int] = {}

    def _configure(self, home: Home, settings: Settings, outlets: Outlets) -> None:
        """Make what properties change at run time, and have it told of them."""
        serving = self.owners.serving
        self.configuration = Configuration(home.config, settings, self._store.commit)
        self.configuration.failed = self._fail
        self.keyset = KeySet(self.owners.allocator, self.owners.keystore, self.configuration)
        self.configuration.on_change(POLICY, at_once(lambda coming: serving.configure(policy_of(coming))))
        self.drive_table = DriveTable(home.path, settings, self.owners.registry)
        self.upkeep.duties.append(self.drive_table.tick)
        self._tap = Tap(serving)
        self.logs = Logs(home, settings, self._tap, self.owners.vendor_of, self.gateways, outlets)
        self.gateways.debug = self.logs.noted
        self.configuration.on_change(CHANGEABLE, at_once(self.logs.switch))

    def _listen(self, settings: Settings, servicers: Servicers) -> None:
        """Make the listeners; none listens yet. The deny list is complete here."""
        gateways = settings[SSL_GATEWAYS] == "on"
        entry = Entry(self.owners.accounts, self.owners.sessions, gateways)
        denied = self.owners.certificates.denied
        who = denied, self._store.estate_id, self._now_us, self._refuse, entry
        handshakes = Handshakes()
        near = [*servicers.interceptors(), *interceptors(*who, remote=False)]
        far = [*servicers.interceptors(), *interceptors(*who, remote=True, arrived=handshakes.speak)]
        handlers = Handlers(servicers.add_to)
        self.listeners = Listeners(settings, self._files, near, handlers.add_to, NAMES)
        self.ssl = SslListener(settings, self._files, far, handlers.add_to, handshakes)
        self.upkeep.duties.append(self.ssl.tick)
        self.ssl.moved = self.owners.peers.moved
        self.configuration.on_change((SSL_HOST, SSL_PORT), self.ssl.apply)
        self.configuring = Configuring(self.gateways, self.configuration)

    async def start(self) -> dict[str, int]:
        """Put right what a former stop left, then listen; returns the ports. PortInUse, StoreFailed."""
        doubts = self._doubt()  # first: a store in doubt leaves its anchor alone
        self._store.committed, self._store.measured = self._committed, self.activity.wrote
        self.logs.start(self._store)
        self._store.start(self.owners.estate.audit_key.sign, self._fail)
        two_person = self.owners.approvals.two_person
        what = f"version {__version__}" if two_person else f"version {__version__}; {OFF}"
        record = occurred(self._now_us(), "server.start", SERVICE, message=what)
        before = recall(self.owners.settings)
        settled = [*self.keyset.start(before), *self.configuration.begin(before, self._now_us())]
        own = [*self.owners.peers.became(self.owners.estate.epoch), *self.federation.begin(before)]
        await self._store.commit([*doubts, *settled, *own, *self.owners.serving.recover(), record])
        await self.duties.start()
        await self.alarms.start()
        await self.upkeep.renew()
        self._ports = await self.listeners.start()
        await self.ssl.start()
        await self.federation.start()
        await self.metrics.start()
        ports = self.ports
        self._task = asyncio.create_task(self.upkeep.run())
        _log.info("serving", extra={"fields": {**ports, "version": __version__}})
        alone = () if two_person else (ONE_PERSON,)
        open_to_all = unguarded(self.owners.accounts, self.owners.certificates, self._now_us())
        for line in (*self.lines(), *alone, *open_to_all):
            _log.warning("DEGRADED: %s", line)
        return ports

    def _doubt(self) -> list[Change]:
        """Give no new keys from a store that may be an old copy, now and after every start."""
        settings = self.owners.settings
        reason, changes = doubt(self._store, settings, self._now_us(), SERVICE)
        settings.update({each.name: each.value for each in changes if isinstance(each, Setting)})
        if reason:
            self.owners.keystore.freeze(reason)
            _log.error("READ ONLY: %s", reason)
        return changes

    @property
    def ports(self) -> dict[str, int]:
        """Return the ports that are listened on, by name."""
        return self._ports | ({"ssl": self.ssl.port} if self.ssl.port else {})

    def lines(self) -> list[str]:
        """Return what a status says of the backups, the logs and the properties."""
        kept = self.duties, self.federation, self.logs, self.alarms, self.configuration, self.keyset
        more = self.drive_table, self.ssl, self.metrics, self.traces
        return [line for part in (*kept, *more) for line in part.lines()]

    def end(self) -> None:
        """Have `wait` return: the service is to stop."""
        self._ended.set()

    @property
    def well(self) -> bool:
        """Whether every write to the store and change of properties was made so far, and none is stuck."""
        return self._failure is None and self._store.underway_s < STUCK_S

    async def wait(self) -> None:
        """Wait until the service is to stop; StoreFailed when it must."""
        await self._ended.wait()
        if self._failure is not None:
            why = "a write to the store or a change of properties failed"
            raise StoreFailed(f"{why}: the service stops and recovers at its next start") from self._failure

    async def stop(self) -> None:
        """End in order: health, the gateways' streams, calls under way, the upkeep, the last records."""
        await self.listeners.leave()
        for link in self.gateways:
            link.end(Draining("the service is stopping"))
        await self.duties.leave()
        await self.configuration.close()  # first: a port that is moved is drained, and the other one stopped
        await self.federation.close()  # else their streams are waited for
        await self.metrics.close()
        await asyncio.gather(self.listeners.stop(GRACE_S), self.ssl.stop(GRACE_S))
        await self._rest()
        await self.drive_table.close()
        await self.duties.close()
        await self.upkeep.close()
        await self._store.commit([occurred(self._now_us(), "server.stop", SERVICE)])
        await asyncio.gather(self.alarms.close(), self.traces.close(), asyncio.to_thread(self.logs.close))

    async def abort(self) -> None:
        """End at once: nothing more can be written, so nothing more is answered."""
        await self.duties.leave()
        await self.metrics.close()
        await self.links.close()
        await asyncio.gather(self.listeners.stop(0), self.ssl.stop(0))
        await self._rest()
        told = self.alarms.abort(str(self._failure or "")), self.traces.close()
        await asyncio.gather(*told, asyncio.to_thread(self.logs.close))

    async def _rest(self) -> None:
        await self.configuring.close()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.duties.rest()

    def _committed(self, first: int, records: Sequence[AuditRecord]) -> None:
        """Tell who copies or counts the trail; in the writer's thread."""
        self.logs.committed(first, records)
        self.activity.committed(first, records)
        self.alarms.committed(first, records)

    def _fail(self, error: BaseException) -> None:
        """Note that the store or a change of properties has failed, once, in the event loop."""
        self._failure = error
        self.end()

    def _refuse(self, identity: Identity | None, method: str, error: QekmError, peer: str) -> None:
        """Record a call that was refused for who made it; many of one caller become one record a minute."""
        who = identity.actor if identity else stranger(_host(peer))
        what = f"{method}: {error.message}"
        records = self._refusals.refuse(self._now_us(), who, error.reason(), what)
        if records:
            self._store.submit([records])

    def _publish(self) -> None:
        """Put the service's certificate, whom it trusts and the signer's certificate in force."""
        certificates = self.owners.certificates
        wanted = certificates.server_pem, certificates.trust_pem
        chain, _, trust = self._files.read()
        if (chain, trust) != wanted:
            publish(self._files, *wanted)
        self.owners.serving.present((certificates.signer,))


def _host(peer: str) -> str:
    """Return the network of a peer as grpc writes it: ipv4:127.0.0.1:40000, ipv6:%5B::1%5D:40000."""
    return host_of(unquote(peer).partition(":")[2])
