"""The links to all other servers of the estate: who calls whom, what of ours is where.

Who joined later calls those that were there; a server that is called takes the newest stream of each peer.
While no stream stands, drives are served all the same: everything that was missed is in the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from qekm.errors import BatchRefused, Draining, PeerAway, PeerRefused, QekmError, StoreFailed
from qekm.model import Cursor, Setting
from qekm.replication.agreement import Agreement, assert_rows
from qekm.replication.calling import keep_calling
from qekm.replication.ground import Ground
from qekm.replication.link import Link, LinkStatus
from qekm.replication.messages import Pipe
from qekm.replication.receipts import Receipts
from qekm.replication.refusals import Refusals
from qekm.replication.refusing import REVOKED, heed
from qekm.replication.streaming import Stream
from qekm.text import as_line

_log = logging.getLogger(__name__)

SCHEMA = "peers.schema"  # a setting: the revision that the cursors are of
_LAST_S, _LOOK_S = 1.0, 0.5  # at the end; between two looks at who is joined
_COMPARE_S = 150.0  # for all comparisons that somebody asked for

Dial = Callable[[str], AbstractAsyncContextManager[Pipe]]  # host:port of a peer


class Links:
    """One link per other server, from `start` to `close`; from the event loop only."""

    def __init__(self, ground: Ground, cursors: Iterable[Cursor], dial: Dial) -> None:
        """Take the cursors of the store, and how to call an address."""
        self._ground, self._dial = ground, dial
        self._cursors = {cursor.peer: cursor for cursor in cursors}
        self._links: dict[str, Link] = {}
        self._streams: dict[str, tuple[asyncio.Task[None], Stream]] = {}
        self._calls: dict[str, asyncio.Task[None]] = {}
        self._receipts = Receipts()
        self._refusals = Refusals(ground)
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._changed = asyncio.Event()  # another stream stands
        self.on_acknowledged: list[Callable[[], None]] = []
        self.on_behind: list[Callable[[str], None]] = []  # told why this store is an old copy
        self.fail: Callable[[BaseException], None] = lambda _error: None  # memory and disk differ
        self._agreement = Agreement(ground, self._links)
        self._agreement.recall(self._link)

    async def start(self) -> None:
        """Call whom this server calls, from now on; StoreFailed."""
        ground = self._ground
        ground.store.on_commit.append(self._committed)
        if ground.settings.get(SCHEMA, "") != ground.own.schema:
            # What an older program could not take is taken now: from the start.
            self._cursors = {name: replace(each, received=0) for name, each in self._cursors.items()}
            for link in self._links.values():
                link.cursor = replace(link.cursor, received=0)
            ground.settings[SCHEMA] = ground.own.schema
            await ground.store.commit([*self._cursors.values(), Setting(SCHEMA, ground.own.schema)])
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End all streams, once the last changes are at a peer or a moment is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await self.told(self._ground.store.journal_end)
        self._closed = True
        running = filter(None, [self._task])
        tasks = [*self._calls.values(), *(task for task, _ in self._streams.values()), *running]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._receipts.give_up()
        if self._committed in self._ground.store.on_commit:
            self._ground.store.on_commit.remove(self._committed)
        await self._refusals.close()

    # What others ask.

    @property
    def refused(self) -> int:
        """Return how many streams were refused."""
        return self._refusals.count

    @property
    def connected(self) -> bool:
        """Tell whether a stream to any peer stands."""
        return bool(self._streams)

    @property
    def acknowledged(self) -> int:
        """Return up to which place of the journal some joined peer has everything on its disk."""
        names = {peer.name for peer in self._ground.servers.others}
        return max((link.acknowledged for name, link in self._links.items() if name in names), default=0)

    async def told(self, sequence: int) -> bool:
        """Return True once a peer has this place of the journal on its disk, False if none is connected."""
        if self.acknowledged >= sequence:
            return True
        if not self.connected:
            return False
        return await self._receipts.reached(sequence)

    def status(self, name: str) -> LinkStatus | None:
        """Return how the link to a server is; None for one that is not joined."""
        joined = any(peer.name == name for peer in self._ground.servers.others)
        return self._link(name).status(self._ground.store.journal_end) if joined else None

    @property
    def are_complete(self) -> bool:
        """Tell whether every joined peer is connected, has everything, and everything of it is here.

        A stream that has just begun tells nothing: how much a peer has to say is in its first sign of life.
        """
        links = [self._link(peer.name) for peer in self._ground.servers.others]
        found = [each.status(self._ground.store.journal_end) for each in links if each.beat.time_us]
        return len(found) == len(links) and all(
            each.connected and not each.lag_records and not each.behind_records for each in found
        )

    def may_forget(self, version: int) -> bool:
        """Tell whether all joined peers are connected and have no key under an older record key."""
        links = [self._link(peer.name) for peer in self._ground.servers.others]
        return all(link.connected and link.beat.oldest_record_key >= version for link in links)

    async def compare(self, repair: bool = False) -> None:
        """Compare with all joined peers and return when that is done; PeerAway if one is not there.

        repair: have everything sent again first, both ways; what differs then is as it is here.
        """
        names = [peer.name for peer in self._ground.servers.others]
        away = [name for name in names if name not in self._streams]
        if away:
            raise PeerAway(f"not connected: {', '.join(away)}", peer=away[0])
        try:
            async with asyncio.timeout(_COMPARE_S):
                await asyncio.gather(*(self._compare_with(name, repair) for name in names))
        except TimeoutError:
            what = f"no result after {_COMPARE_S:.0f} s: too much is under way, or a peer went away"
            raise PeerAway(what, peer=names[0]) from None

    async def _compare_with(self, name: str, repair: bool) -> None:
        stream = self._streams[name][1]
        if repair:
            await stream.repair()
            while (present := self._streams.get(name)) is None or present[1] is stream:
                self._changed.clear()
                await self._changed.wait()
            stream = present[1]
        found = await stream.compare()
        if found and repair:
            await assert_rows(self._ground.store, found)
            await stream.compare()

    # Streams.

    async def called(self, name: str, pipe: Pipe) -> None:
        """Serve a server that has called, until the stream ends; PeerRefused, BatchRefused.

        name: that of its certificate.
        """
        link = self._links.get(name) or self._made(name)
        await self._serve(link, pipe, calling=False)

    async def _serve(self, link: Link, pipe: Pipe, *, calling: bool) -> None:
        """Have one stream, in place of the one that there may be; whatever it ends with is noted."""
        stream = Stream(self._ground, link, pipe, self._moved, self._agreement.judge, calling=calling)
        try:
            if self._closed:
                raise Draining("the service is stopping")
            await stream.greet()
            self._ground.pool.thaw(REVOKED)
            self._links[link.name] = link
            async with self._instead(link.name, stream) as task:
                _log.info("server %s is connected", link.name)
                await self._outlast(link.name, task)
                link.end(f"server {link.name} has ended the stream")
        except QekmError as error:
            if isinstance(error, PeerRefused | BatchRefused):
                self._refusals.add(link, error)
                await stream.say_why(error)
            stood = link.connected
            if stood or link.last_error != as_line(error.message):
                _log.warning("server %s: %s", link.name, as_line(error.message))
            link.end(error.message, still=link.name in self._streams)
            if not stood:  # the certificate of a stream that stood may only have been replaced
                heed(self._ground.pool, error)
            if error.details.get("behind"):
                for tell in self.on_behind:
                    tell(error.message)
            if isinstance(error, StoreFailed):
                self.fail(error)
            raise
        except asyncio.CancelledError:
            link.end(still=link.name in self._streams)
            raise

    async def _outlast(self, name: str, task: asyncio.Task[None]) -> None:
        """Wait for the end of a stream; PeerAway if it had to go for another one, or was removed."""
        try:
            await task
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if this is None or this.cancelling():
                raise
            what = f"the stream of server {name} was ended for another one, or it was removed"
            raise PeerAway(what, peer=name) from None

    @contextlib.asynccontextmanager
    async def _instead(self, name: str, stream: Stream) -> AsyncIterator[asyncio.Task[None]]:
        """Run a stream in the place of the one before; the newest holds, as the other end made it."""
        former = self._streams.pop(name, None)
        if former is not None:
            former[0].cancel()
            await asyncio.wait([former[0]])
        task = asyncio.create_task(stream.run())
        self._streams[name] = task, stream
        self._changed.set()
        try:
            yield task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, QekmError):
                await task
            if self._streams.get(name, (None,))[0] is task:
                del self._streams[name]
            if not self._streams:
                self._receipts.give_up()

    async def _run(self) -> None:
        """Look every moment at who is joined, and call those that are to be called."""
        while True:
            joined = {peer.name: peer.address for peer in self._ground.servers.others}
            for name in [name for name in self._streams if name not in joined]:
                self._streams[name][0].cancel()
            for name in [name for name in self._links if name not in joined]:
                await self._forget(name)
            wanted = {name for name in joined if self._ground.servers.calls(name)}
            for name in [name for name in self._calls if name not in wanted or self._calls[name].done()]:
                self._calls.pop(name).cancel()
            for name in wanted - self._calls.keys():
                self._calls[name] = asyncio.create_task(self._call(name))
            self._refusals.flush()
            await asyncio.sleep(_LOOK_S)

    async def _call(self, name: str) -> None:
        link = self._link(name)

        async def call() -> None:
            """Have one stream; what it was about is in the link."""
            addresses = (peer.address for peer in self._ground.servers.others if peer.name == name)
            async with self._dial(next(addresses, "")) as pipe:
                await self._serve(link, pipe, calling=True)

        await keep_calling(call, link.end, self._ground.steady_s)

    def _link(self, name: str) -> Link:
        """Return the link to a server that is joined."""
        if name not in self._links:
            self._links[name] = self._made(name)
        return self._links[name]

    def _made(self, name: str) -> Link:
        cursor = self._cursors.get(name) or Cursor(name, b"", 0)
        return Link(name, cursor, self._ground.now_us, self._ground.steady_s)

    async def _forget(self, name: str) -> None:
        """A server that was removed differs from nobody."""
        link = self._links.pop(name)
        self._cursors.pop(name, None)
        if link.differences:
            link.differences = ()
            await self._ground.store.commit(self._agreement.weigh())

    # How far others are.

    def _committed(self) -> None:
        end = self._ground.store.journal_end
        for link in self._links.values():
            link.moved(end)

    def _moved(self, link: Link) -> None:
        """Tell whoever waits for it that a peer has more."""
        link.moved(self._ground.store.journal_end)
        self._receipts.reach(self.acknowledged)
        for told in self.on_acknowledged:
            told()
