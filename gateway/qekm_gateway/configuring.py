"""Put properties in force while drives are served, when the service says so: all of a command, or none.

First what can fail, the port; then what cannot. What this gateway's own environment or command line says wins
over the service, as it wins over the file.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from qekm.configuration.settings import FROM_ENVIRONMENT, Settings
from qekm.errors import BadConfiguration, QekmError
from qekm.properties.listeners import TCP_DRAIN, TCP_HOST, TCP_PORT
from qekm.v1.serving_pb2 import ConfigureCommand, ConfigureReport
from qekm_gateway.deadlines import Limits
from qekm_gateway.gateway import Gateway
from qekm_gateway.ports import Ports

_log = logging.getLogger(__name__)

FROM_OPTION = "option"  # of the command line
_FIXED = (FROM_ENVIRONMENT, FROM_OPTION)
# The class of the debug log that tells of connections.
_CLASS = "transport"


def apply_rules(settings: Settings, gateway: Gateway) -> None:
    """Have everything but the port as the settings say, from the next connection on."""
    gateway.limits = Limits(
        frame=settings["dkp.frameTimeout"],
        step=settings["dkp.stepTimeout"],
        session=settings["dkp.sessionTimeout"],
        idle=settings["dkp.idleTimeout"],
    )
    gateway.admission.per_address = settings["dkp.connectionsPerAddress"]
    gateway.tls_required = settings["dkp.tls"] == "required"
    gateway.debug.on = _CLASS in settings["debug"]


class Configuring:
    """The properties of this gateway; one command after the other."""

    def __init__(
        self,
        settings: Settings,
        ports: Ports,
        gateway: Gateway,
        announce: Callable[[], None],
    ) -> None:
        """Take the settings in force; `announce` tells where drives are taken now, or raises our error."""
        self._settings, self._ports, self._gateway = settings, ports, gateway
        self._announce = announce
        self._turn = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()

    def start(self, command: ConfigureCommand, report: Callable[[ConfigureReport], None]) -> None:
        """Carry out a command beside everything else, when those before it are done."""
        task = asyncio.get_running_loop().create_task(self._run(command, report))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Put nothing more in force."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _run(self, command: ConfigureCommand, report: Callable[[ConfigureReport], None]) -> None:
        told = ConfigureReport(command_id=command.command_id)
        async with self._turn:
            try:
                await self._put(self._read(command.properties))
            except QekmError as error:
                told.error, told.reason = error.message, error.reason()
            except Exception as error:
                number = self._gateway.incidents.record(error)
                told.error, told.reason = f"internal error, incident {number}", "INTERNAL"
        told.addresses.extend(self._ports.addresses)
        report(told)

    def _read(self, properties: Mapping[str, str]) -> Settings:
        """Return the settings to be; BadConfiguration. Names that this release does not know mean nothing."""
        coming = self._settings.copy()
        for name, text in properties.items():
            if name not in coming.table or coming.source(name) in _FIXED:
                continue
            try:
                coming.put(name, text)
            except ValueError as error:
                raise BadConfiguration(f"{name} must be {error}", property=name) from None
        return coming

    async def _put(self, coming: Settings) -> None:
        before = self._settings
        if any(coming[name] != before[name] for name in (TCP_HOST, TCP_PORT)):
            await self._move(coming)
        self._settings = coming
        apply_rules(coming, self._gateway)

    async def _move(self, coming: Settings) -> None:
        """Take drives elsewhere, and at the place before for a while. PortInUse, BadConfiguration, …"""
        before = self._settings[TCP_HOST], self._ports.port
        await self._ports.move(coming[TCP_HOST], coming[TCP_PORT], coming[TCP_DRAIN] * 60)
        try:
            self._announce()
        except BaseException:
            await self._ports.move(*before, 0)
            raise
        _log.info("drives are taken at %s", ", ".join(self._ports.addresses))
