"""ServerService: how the service is, and its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from qekm import __version__
from qekm.accounts import unguarded
from qekm.api.fields import stamp
from qekm.api.gateways import Gateways, Link
from qekm.api.journal import Journal
from qekm.approvals import people
from qekm.configuration.settings import Settings
from qekm.estate import ONE_PERSON
from qekm.expiring import expiring
from qekm.model import DriveState, KeyState
from qekm.owners import Owners
from qekm.v1 import server_pb2 as pb
from qekm.v1.server_pb2_grpc import ServerServiceServicer

_MOST_LINES = 32  # groups told of


class ServerServicer(ServerServiceServicer):
    """Thin: asks every owner what is not as it should be."""

    def __init__(
        self,
        owners: Owners,
        gateways: Gateways,
        journal: Journal,
        backups: Callable[[], list[str]],
        stop: Callable[[], None],
        ssl_port: Callable[[], int],
        settings: Settings,
        now_us: Callable[[], int],
    ) -> None:
        """Take the owners, the links, what a status says of other parts, and what stops the service."""
        self._keystore, self._allocator = owners.keystore, owners.allocator
        self._registry, self._certificates = owners.registry, owners.certificates
        self._approvals, self._accounts = owners.approvals, owners.accounts
        self._anchor, self._endings = owners.estate.anchor, owners.endings
        self._gateways, self._journal, self._backups, self._stop = gateways, journal, backups, stop
        self._ssl_port, self._settings = ssl_port, settings
        self.ssl_refused: Callable[[], int] = lambda: 0
        self._now_us, self._start_us = now_us, now_us()

    async def GetStatus(self, request: pb.GetStatusRequest, context: Any) -> pb.GetStatusResponse:
        """Tell what is running and what is degraded."""
        return pb.GetStatusResponse(
            version=__version__,
            start_time=stamp(self._start_us),
            pid=os.getpid(),
            gateways=map(_to_proto, self._gateways),
            degraded=self.degraded(),
            drive_count=self._registry.total(DriveState.ACCEPTED),
            ready_key_count=self._keystore.own_counts()[KeyState.READY],
            anchor=self._anchor,
            anchor_certificate=self._certificates.signer,
            tcp_ports=dict.fromkeys(port for link in self._gateways for port in _ports(link)),
            ssl_port=self._ssl_port(),
            ssl_refused=self.ssl_refused(),
            debug=bool(self._settings["debug"]),
        )

    async def GetVersion(self, request: pb.GetVersionRequest, context: Any) -> pb.GetVersionResponse:
        """Tell the version of the service, and what time it is here."""
        return pb.GetVersionResponse(version=__version__, time=stamp(self._now_us()))

    async def StopServer(self, request: pb.StopServerRequest, context: Any) -> pb.StopServerResponse:
        """End the service; answers under way finish, this one first."""
        await self._journal.commit("StopServer", ())
        self._stop()
        return pb.StopServerResponse()

    def degraded(self) -> Iterator[str]:
        """Yield a line for each thing that is not as it should be."""
        yield from self._backups()
        if not self._approvals.two_person:
            yield ONE_PERSON
        elif len(people(self._certificates, self._now_us())) < 2:
            yield "twoPerson=on, and only one person could approve: issue a second one's certificate"
        yield from unguarded(self._accounts, self._certificates, self._now_us())
        if self._keystore.read_only:
            yield f"READ ONLY, no new keys are given: {self._keystore.read_only}"
        if not self._gateways:
            yield "no gateway is connected: no drive is served"
        for link in self._gateways:
            if link.trouble:
                yield f"gateway {link.name} does not have the properties in force: {link.trouble}"
        if not self._registry.authorities():
            yield "no drive authority is trusted: no drive can prove who it is"
        yield from self._low_pools()
        yield from (each.line for each in expiring(self._endings(), self._now_us()))
        if self._certificates.rolling:
            yield "a roll-over of the authority is under way: finish it when every certificate is renewed"

    def _low_pools(self) -> Iterator[str]:
        for group in self._allocator.page(limit=_MOST_LINES):
            held, ready = self._allocator.counts(group.name)
            if group.is_default and not held:
                yield f"group {group.name}, the default, holds no key"
            elif self._allocator.is_low(group.name, self._registry.names_group):
                yield f"group {group.name}: {ready} of {held} keys are left to give out"
            elif self._allocator.is_others(group.name):
                yield f"group {group.name}: all its keys are other servers' to give out, this one has none"


def _to_proto(link: Link) -> pb.Gateway:
    hello = link.hello
    return pb.Gateway(
        name=link.name,
        version=hello.version,
        addresses=hello.addresses,
        connect_time=stamp(link.connect_time_us),
        pid=hello.pid,
    )


def _ports(link: Link) -> Iterator[int]:
    """Yield the ports on which a gateway takes drives, the present one first."""
    for address in link.hello.addresses:
        port = address.rpartition(":")[2]
        if port.isdecimal() and len(port) <= 5:
            yield int(port)
