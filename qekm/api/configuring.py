"""Keep the gateways' properties those of the service: when a stream begins, and when some of them change.

A change is put in force at all gateways or, taken back, at none. One that is away or silent is no reason to
change nothing: its stream's next beginning brings it what it missed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from qekm.api.gateways import Gateways, Link
from qekm.configuration.owner import Configuration
from qekm.configuration.parts import Applied
from qekm.configuration.settings import Settings
from qekm.errors import BadConfiguration, GatewayAway, PortInUse, QekmError
from qekm.properties.listeners import TCP_DRAIN, TCP_HOST, TCP_PORT
from qekm.v1.serving_pb2 import ConfigureReport

_log = logging.getLogger(__name__)

NAMES = (
    *(TCP_PORT, TCP_HOST, TCP_DRAIN, "dkp.tls", "dkp.connectionsPerAddress", "dkp.frameTimeout"),
    *("dkp.stepTimeout", "dkp.sessionTimeout", "dkp.idleTimeout", "debug"),
)
"""The properties that a gateway has."""

PATIENCE_S = 5.0  # for a gateway's answer; a gateway of an older release never gives one
NOBODY = "no gateway is connected: one that starts or connects takes this up"


class Configuring:
    """Tells the gateways what is in force; `apply` is for qekm.configuration.owner."""

    def __init__(self, gateways: Gateways, configuration: Configuration) -> None:
        """Take whom to tell, and who tells when properties change."""
        self._gateways, self._configuration = gateways, configuration
        self._settings = configuration.settings
        self._tasks: set[asyncio.Task[None]] = set()
        gateways.greet = self.greet
        configuration.on_change(NAMES, self.apply)

    def greet(self, link: Link) -> None:
        """Bring a gateway that has just come up to date, beside everything else."""
        self._start(self._settle(link))

    async def apply(self, coming: Settings) -> Applied:
        """Put settings to be in force at all gateways connected now. PortInUse, BadConfiguration: at none."""
        links = tuple(self._gateways)
        before = {link: tuple(link.hello.addresses) for link in links}
        try:
            reports = await asyncio.gather(*(self._ask(link, _texts(coming)) for link in links))
        except BaseException:
            self._start(self._take_back(links))
            raise
        for link, report in zip(links, reports, strict=True):
            if report is not None and report.error:
                await self._take_back(links)
                raise _refusal(link, report)
        told = [
            note
            for link, report in zip(links, reports, strict=True)
            for note in self._notes(coming, link, before[link], report)
        ]
        return Applied(
            undo=partial(self._take_back, links),
            finish=partial(self._catch_up, links),
            notes=tuple(dict.fromkeys(told)) if links else (NOBODY,),
        )

    async def close(self) -> None:
        """Tell nobody any more."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask(self, link: Link, texts: Mapping[str, str]) -> ConfigureReport | None:
        """Return a gateway's answer, None if there is none."""
        return await self._answer(self._gateways.configure(link, texts))

    async def _answer(self, report: asyncio.Future[ConfigureReport]) -> ConfigureReport | None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await report
        except (TimeoutError, GatewayAway):
            return None

    async def _settle(self, link: Link) -> None:
        """Tell one gateway what is in force. What only the file has is left to it: it may have read it."""
        async with self._configuration.still():  # else it could be told what was in force before a change
            waiting, now = await self._configuration.look(), _texts(self._settings)
            told = {name: text for name, text in now.items() if waiting.text(name) == text}
            asked = self._gateways.configure(link, told)
        report = await self._answer(asked)
        if report is not None and report.error:
            _log.warning("DEGRADED: gateway %s: %s", link.name, report.error)

    async def _take_back(self, links: Sequence[Link]) -> None:
        """Have links as they were. The port that is given up is not drained: nobody was told of it."""
        texts = _texts(self._settings)
        for each in (texts | {TCP_DRAIN: "0"}, texts):
            await asyncio.gather(*(self._ask(link, each) for link in links))

    async def _catch_up(self, links: Sequence[Link]) -> None:
        """Tell those that came while the change was made, and were told the settings before it."""
        for link in self._gateways:
            if link not in links:
                self.greet(link)

    def _notes(
        self, coming: Settings, link: Link, before: Sequence[str], report: ConfigureReport | None
    ) -> Iterable[str]:
        """Yield what the administrator has to know of one gateway's answer."""
        if report is None:
            yield f"gateway {link.name} has not answered: it takes this up when it does, connects or starts"
            return
        if all(coming.text(name) == self._settings.text(name) for name in (TCP_PORT, TCP_HOST)):
            return
        port, old = _port(report.addresses), _port(before)
        if coming[TCP_PORT] not in (0, port):
            yield f"gateway {link.name} stays on port {port}: its environment or command line says so"
        elif old != port and coming[TCP_DRAIN]:
            yield (
                f"drives are answered on port {port}, and for {coming[TCP_DRAIN]} minutes on {old} as well: "
                "set the library to the new one until then"
            )
        elif old != port:
            yield f"drives are answered on port {port}, no longer on {old}: set the library to the new one"

    def _start(self, act: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(act)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _texts(settings: Settings) -> dict[str, str]:
    return {name: settings.text(name) for name in NAMES}


def _port(addresses: Sequence[str]) -> int:
    """Return the port of the first of some addresses, host:port; 0 for none."""
    found = addresses[0].rpartition(":")[2] if addresses else ""
    return int(found) if found.isdecimal() else 0


def _refusal(link: Link, report: ConfigureReport) -> QekmError:
    kind = PortInUse if report.reason == PortInUse.reason() else BadConfiguration
    return kind(f"gateway {link.name}: {report.error}")
