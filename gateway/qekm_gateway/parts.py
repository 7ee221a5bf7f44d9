"""The parts of a gateway, put together; nothing connects and nothing listens yet."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from functools import partial

import qekm.rpc  # noqa: F401  (TLS 1.3 only, before grpc)

# isort: split
from grpc import aio

from qekm import __version__
from qekm.clock import now_us
from qekm.configuration.settings import Settings
from qekm.home import Announce, Home
from qekm.metrics import Metrics
from qekm.properties.listeners import GATEWAY_METRICS_PORT
from qekm.rpc.tls import Files
from qekm.tracing import Traces
from qekm.v1.serving_pb2 import ConfigureCommand, ConfigureReport, GatewayHello
from qekm_gateway.activity import Activity
from qekm_gateway.admission import Admission, connection_limit
from qekm_gateway.configuring import Configuring, apply_rules
from qekm_gateway.deadlines import Deadlines
from qekm_gateway.diagnosing import Diagnosing
from qekm_gateway.faults import Incidents
from qekm_gateway.figures import attach
from qekm_gateway.gateway import Gateway
from qekm_gateway.lines import Lines
from qekm_gateway.link import Link
from qekm_gateway.listeners import Place
from qekm_gateway.ports import Ports
from qekm_gateway.renewing import Renewal
from qekm_gateway.services import Service, services_of
from qekm_gateway.tls import Certificate


class Parts:
    """Made in the event loop that will run them; `announce` is put in once the process is announced."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        home: Home,
        settings: Settings,
        opened: Mapping[Place, socket.socket],
    ) -> None:
        """Take the settings and the sockets to begin with."""
        incidents = Incidents()
        files = Files(home.certificate("gateway"), home.key("gateway"), home.trust)
        self._services = services_of(home, settings, files)
        self.announce: Announce = lambda _ports: None
        self._incidents, self._activity = incidents, Activity()
        self._diagnosing = Diagnosing(lambda: self.ports.reachable(self.gateway.tls_required), incidents)
        self.lines = Lines(self._link, lambda: self.gateway.limits.session, self._changed)
        self.gateway = Gateway(
            loop,
            self.lines.present,
            Admission(settings["dkp.connectionsPerAddress"], connection_limit()),
            Deadlines(loop),
            Certificate(files.certificate, files.key),
            incidents,
            activity=self._activity,
        )
        self._traces = Traces("qekm-gateway", settings, home.path)
        if self._traces.tracing is not None:
            from qekm_gateway.tracing import TracedTranslator

            self.gateway.translator = partial(TracedTranslator, self._traces.tracing)
        self.metrics = Metrics(settings[GATEWAY_METRICS_PORT], GATEWAY_METRICS_PORT)
        attach(self.metrics, self.gateway, self.lines, self._services, files.certificate)
        apply_rules(settings, self.gateway)
        self.gateway.debug.tell = self._note
        self.ports = Ports(self.gateway, opened)
        self.configuring = Configuring(settings, self.ports, self.gateway, self._announce)
        self.renewal = Renewal(files, self._dial, self.lines.replace, incidents, now_us)

    def troubles(self) -> list[str]:
        """Return what is not as it should be, a line each."""
        return [*self.metrics.lines(), *self._traces.lines()]

    async def close(self) -> None:
        """End what nobody waits for."""
        await self.metrics.close()
        await self._traces.close()

    def _link(self) -> Link:
        link = Link(
            self._services,
            self._hello,
            self._incidents,
            lambda command: self._diagnosing.start(command, link.diagnosed),
            lambda command, report: self._configure(link.service, command, report),
            self._activity.answers,
        )
        return link

    def _dial(self) -> aio.Channel:
        return self.lines.present.service.dial()

    def _changed(self, link: Link) -> None:
        self.gateway.link = link

    def _configure(
        self, service: Service, command: ConfigureCommand, report: Callable[[ConfigureReport], None]
    ) -> None:
        """Do as the own service says; another machine's knows nothing of the ports of this one."""
        if service.own:
            self.configuring.start(command, report)  # a link is made before it
        else:
            report(ConfigureReport(command_id=command.command_id, addresses=self.ports.addresses))

    def _note(self, source: str, text: str) -> None:
        self.lines.present.noted(source, text)  # over the newest link

    def _hello(self) -> GatewayHello:
        return GatewayHello(
            version=__version__,
            addresses=self.ports.addresses,
            pid=os.getpid(),
            diagnosis_spki=self._diagnosing.spki,
        )

    def _announce(self) -> None:
        self.announce({"tcp": self.ports.port})
