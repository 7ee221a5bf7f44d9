"""The link in use, and those before it until their sessions are over: a new certificate, or a better service.

A session lives on the stream on which it began. So a new link is open before the one before it is left: what
begins from then on goes over the new one, and the old one stays for as long as a session may last. That is
also how the preferred service is gone back to, without a session that would have to be begun again.
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
    """Makes links; `present` is the one over which new sessions go, and `changed` is told of another."""

    def __init__(
        self, make: Callable[[], Link], session: Callable[[], float], changed: Callable[[Link], None]
    ) -> None:
        """Take what makes a link, and what tells how many seconds a session may last."""
        self._make = make
        self._session = session
        self._changed = changed
        self._leaving: dict[Link, asyncio.Task[None]] = {}
        self._returning: asyncio.Task[None] | None = None
        self._past = 0  # streams of links that were left
        self.present = make()

    @property
    def streams(self) -> int:
        """Return how many streams were opened so far, of the links that were used."""
        return self._past + sum(link.streams for link in (*self._leaving, self.present))

    def start(self) -> None:
        """Begin to connect."""
        self.present.start()
        self._returning = asyncio.create_task(self._return())

    async def replace(self) -> None:
        """Open a new link and leave the present one; ServiceAway: nothing has changed."""
        new = self._make()
        new.start()
        try:
            async with asyncio.timeout(PATIENCE):
                while not await _lasts(new):
                    pass
        except BaseException as error:
            await new.close()
            if isinstance(error, TimeoutError):
                raise ServiceAway("a new stream to the service could not be opened") from None
            raise
        self._adopt(new)

    async def close(self) -> None:
        """Send what is still to be reported and end all links."""
        if self._returning is not None:
            self._returning.cancel()
            await asyncio.gather(self._returning, return_exceptions=True)
        links = [*self._leaving, self.present]
        for task in self._leaving.values():
            task.cancel()
        await asyncio.gather(*(link.close() for link in links))

    async def _return(self) -> None:
        """Go back to a service that is preferred to the one in use, whenever one is there."""
        while True:
            await asyncio.sleep(LASTS)
            if self.present.up and self.present.place:
                await self._go_back(self.present, self.present.place)

    async def _go_back(self, old: Link, place: int) -> None:
        """Try those before `place`, beside the link in use, until one answers or the link is left."""
        new = self._make()
        new.start(among=place)
        try:
            while self.present is old and old.place == place:
                # Accepted is not enough: a service that hangs accepts, and then this would never end.
                if await _lasts(new) and new.heard:
                    new.widen()
                    return self._adopt(new)
        finally:
            if self.present is not new:
                await new.close()

    def _adopt(self, new: Link) -> None:
        old, self.present = self.present, new
        old.successor = new
        self._leaving[old] = asyncio.create_task(self._leave(old))
        self._changed(new)

    async def _leave(self, old: Link) -> None:
        await asyncio.sleep(self._session() + DEADLINE)
        await old.close()
        del self._leaving[old]
        self._past += old.streams


async def _lasts(link: Link) -> bool:
    """Wait for a moment and tell whether the link had the same stream all the time."""
    seen = link.streams
    await asyncio.sleep(LASTS)
    return link.up and link.streams == seen
