"""The link in use, and those before it until their sessions are over: how a new certificate is put in use.

A session lives on the stream on which it began. So a new link is open before the one before it is left: what
begins from then on goes over the new one, and the old one stays for as long as a session may last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from qekm.errors import ServiceAway
from qekm_gateway.batches import DEADLINE
from qekm_gateway.link import Link

# A service that refuses our certificate does so after the handshake: only a stream that lasts was accepted.
LASTS = 1.0  # seconds
PATIENCE = 10.0  # seconds for a new link to last


class Lines:
    """Makes links; `present` is the one over which new sessions go."""

    def __init__(self, make: Callable[[], Link], session: Callable[[], float]) -> None:
        """Take what makes a link, and what tells how many seconds a session may last."""
        self._make = make
        self._session = session
        self._leaving: dict[Link, asyncio.Task[None]] = {}
        self.present = make()

    def start(self) -> None:
        """Begin to connect."""
        self.present.start()

    async def replace(self) -> Link:
        """Open a new link, leave the present one, and return the new; ServiceAway: nothing has changed."""
        new = self._make()
        new.start()
        try:
            async with asyncio.timeout(PATIENCE):
                await _lasting(new)
        except BaseException as error:
            await new.close()
            if isinstance(error, TimeoutError):
                raise ServiceAway("a new stream to the service could not be opened") from None
            raise
        old, self.present = self.present, new
        old.successor = new
        self._leaving[old] = asyncio.create_task(self._leave(old))
        return new

    async def close(self) -> None:
        """Send what is still to be reported and end all links."""
        links = [*self._leaving, self.present]
        for task in self._leaving.values():
            task.cancel()
        await asyncio.gather(*(link.close() for link in links))

    async def _leave(self, old: Link) -> None:
        await asyncio.sleep(self._session() + DEADLINE)
        await old.close()
        del self._leaving[old]


async def _lasting(link: Link) -> None:
    """Return when a link has had one stream for long enough."""
    while True:
        seen = link.streams
        await asyncio.sleep(LASTS)
        if link.up and link.streams == seen:
            return
