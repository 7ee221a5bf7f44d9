"""One stream between two servers while it stands: rows go out as they are committed, and come in by batches.

A batch is one commit: its rows, the journal's entries of them, and how far we are in the peer's journal. The
acknowledgement leaves when that is on the disk, and not before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from qekm.errors import BatchRefused, PeerAway, PeerRefused, QekmError, ServiceAway, StoreFailed
from qekm.model import Change, Cursor, KeyState, Setting
from qekm.replication.comparing import Place, Sums
from qekm.replication.conversation import PAGE_ROWS, WINDOW, Conversation
from qekm.replication.ground import Ground, Results
from qekm.replication.inquiring import Inquiring
from qekm.replication.link import Link
from qekm.replication.messages import (
    Acknowledgement,
    Batch,
    Comparison,
    Heartbeat,
    Hello,
    Message,
    Pipe,
    Refusal,
    Value,
)
from qekm.replication.refusing import turned_away
from qekm.store import CURRENT, OLDEST, PrimaryKey

BEAT_S = 1.0
SILENCE_S = 4.0  # after which a stream ends

Judge = Callable[[Link, tuple[str, ...]], Awaitable[None]]


class Stream:
    """Both directions of one stream: `greet`, then `run`, each once."""

    def __init__(
        self,
        ground: Ground,
        link: Link,
        pipe: Pipe,
        moved: Callable[[Link], None],
        judge: Judge,
        *,
        calling: bool,
    ) -> None:
        """Take a pipe that was just opened. moved, judge: told of acknowledgements and of comparisons."""
        self._ground, self._link, self._pipe, self._calling = ground, link, pipe, calling
        self._moved, self._judge = moved, judge
        nonce = ground.random_bytes(32)
        self._conversation = Conversation(ground.own, ground.store.ring, nonce, link.cursor, calling=calling)
        self._wake, self._progress, self._starting_over = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._writing, self._repairs = asyncio.Lock(), False
        self._commits: asyncio.Queue[tuple[asyncio.Future[list[QekmError | None]] | None, int]]
        self._commits = asyncio.Queue()
        self._inquiring: Inquiring | None = None
        self._ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def greet(self) -> None:
        """Exchange hellos; who was called answers only a server that it knows. PeerRefused, BatchRefused."""
        conversation, ground = self._conversation, self._ground
        if self._calling:
            await self._say(conversation.hello())
        hello = await self._hear()
        if isinstance(hello, Refusal):
            raise await turned_away(ground, conversation, self._link.name, hello)
        if not isinstance(hello, Hello):
            raise PeerRefused("the first message of a stream is a hello", peer=self._link.name)
        conversation.greet(hello, self._link.name, ground.store.journal_end)
        changes = [*ground.servers.greet(hello.name, hello.instance, hello.epoch)]
        changes += self._settings_of(conversation.adopt(hello.record_keys))
        if changes:
            await ground.store.commit(changes)
        if not self._calling:
            await self._say(conversation.hello())

    def _settings_of(self, versions: Sequence[int]) -> list[Change]:
        """Return the settings by which a start opens what is sealed under versions that were taken over."""
        settings, changes = self._ground.settings, list[Change]()
        for name, version in ((CURRENT, max(versions, default=0)), (OLDEST, min(versions, default=0))):
            before = int(settings.get(name, 1))
            if version and (version > before if name == CURRENT else version < before):
                settings[name] = str(version)
                changes.append(Setting(name, str(version)))
        return changes

    async def run(self) -> None:
        """Serve until either side ends it. PeerRefused, BatchRefused, ServiceAway, the pipe's errors."""
        conversation, link, ground = self._conversation, self._link, self._ground
        assert conversation.their is not None and conversation.columns is not None
        link.begin(conversation.their, conversation.acknowledged, conversation.received)
        self._moved(link)
        sums = Sums(ground.store, ground.own.tables, conversation.columns)
        inquiring = self._inquiring = Inquiring(sums, self._say, self._has_all, self._take_verdict)
        parts = (
            *(self._read(inquiring), self._send(), self._beat(), self._acknowledge()),
            *(inquiring.reply(), self._compare(inquiring), self._starting_over.wait()),
        )
        tasks = [asyncio.create_task(part) for part in parts]
        ground.store.on_commit.append(self._wake.set)
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._ended.set_result(True)
            ground.store.on_commit.remove(self._wake.set)
            for task in tasks:
                task.cancel()
            if starting_over := self._repairs or self._starting_over.is_set():
                link.cursor = replace(link.cursor, received=0)  # nothing that comes is taken any more
            await asyncio.gather(*tasks, return_exceptions=True)
            if starting_over:
                await ground.store.commit([link.cursor])

    async def say_why(self, error: QekmError) -> None:
        """Tell the peer why this is the end, if it still listens."""
        try:
            async with asyncio.timeout(BEAT_S):
                await self._say(self._conversation.refusal(error))
        except (QekmError, TimeoutError):
            return

    async def repair(self) -> None:
        """Have every row sent again, both ways: the next stream begins at the start of both journals."""
        self._repairs = True
        await self._say(Comparison(0, repair=True))
        await asyncio.wait([self._ended], timeout=SILENCE_S)  # by the peer: else the end could overtake it
        self._starting_over.set()

    async def compare(self) -> tuple[Place, ...]:
        """Compare the stores and return the rows that differ; PeerAway if the stream ends meanwhile."""
        assert self._inquiring is not None, "a stream is known once it runs"
        self._inquiring.ask()
        over = asyncio.create_task(self._inquiring.over.wait())
        ends: list[asyncio.Future[Any]] = [self._ended, over]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        if self._ended.done():
            raise PeerAway(f"server {self._link.name} went away", peer=self._link.name)
        return self._inquiring.found

    async def _say(self, message: Message) -> None:
        async with self._writing:  # grpc takes one message of a stream at a time
            await self._pipe.send(message)

    async def _hear(self) -> Message | None:
        try:
            async with asyncio.timeout(SILENCE_S):
                return await self._pipe.receive()
        except TimeoutError:
            raise ServiceAway(f"server {self._link.name} was silent for {SILENCE_S:.0f} s") from None

    # What comes.

    async def _read(self, inquiring: Inquiring) -> None:
        while (message := await self._hear()) is not None:
            self._link.heard()
            self._progress.set()
            match message:
                case Batch():
                    await asyncio.sleep(0)  # reading it took a third of the time that taking it does
                    await self._take(message)
                case Acknowledgement():
                    self._conversation.acknowledge(message)
                    self._link.acknowledged = self._conversation.acknowledged
                    self._moved(self._link)
                    self._wake.set()
                case Heartbeat():
                    self._link.beat = message
                case Comparison(repair=True):
                    self._starting_over.set()
                case Comparison():
                    await inquiring.take(message)
                case Refusal():
                    raise await turned_away(self._ground, self._conversation, self._link.name, message)
                case Hello():
                    raise PeerRefused("a stream has one hello", peer=self._link.name)

    async def _take(self, batch: Batch) -> None:
        """Decide on a batch against memory and have it committed, in one turn of the event loop."""
        conversation, ground = self._conversation, self._ground
        conversation.verify(batch)
        if self._commits.qsize() > WINDOW:
            raise BatchRefused("more batches came than the window has room for")
        present = await self._present(batch)
        lines = conversation.take(batch, present)
        changes = self._settings_of(conversation.adopt(batch.record_keys))
        try:
            for line in lines:
                changes += ground.merging.take(line)
        except Exception:
            ground.store.submit_stamped([changes])  # what was decided before it is in memory already
            raise
        if changes:
            assert conversation.their is not None
            place = conversation.their.instance, batch.through
            changes.append(Cursor(self._link.name, *place, self._link.cursor.compare_time_us))
        # Rows without news are in memory; another stream may have brought them there just now.
        commit = ground.store.submit_stamped([changes]) if changes or lines else None
        self._commits.put_nowait((commit, batch.through))

    async def _present(self, batch: Batch) -> dict[tuple[str, PrimaryKey], tuple[Value, ...]]:
        """Return the rows that are here, of tables that the peer knows less of."""
        columns, store = self._conversation.columns, self._ground.store
        assert columns is not None
        wanted = columns.lacking(batch.rows)
        if not wanted:
            return {}
        await store.submit_stamped([()])  # what was changed before is on the disk then
        found: dict[tuple[str, PrimaryKey], tuple[Value, ...]] = {}
        for table, keys in wanted.items():
            rows = await asyncio.to_thread(store.shared_rows, table, keys)
            found |= {(table, row[0]): row for row in rows if row[0] is not None}
        return found

    async def _acknowledge(self) -> None:
        """Acknowledge each batch when it is on the disk."""
        while True:
            future, through = await self._commits.get()
            results: Results = await asyncio.shield(future) if future is not None else ()
            for error in results:
                if error is not None:  # memory has what the disk refused: sent again, it would be no news
                    what = f"rows of server {self._link.name} were taken and not written: {error.message}"
                    raise StoreFailed(what) from error
            # A batch without news moves the cursor in memory only: after a crash it is sent again.
            self._link.cursor = replace(self._link.cursor, received=through)
            self._progress.set()
            await self._say(Acknowledgement(through))

    # What goes.

    async def _send(self) -> None:
        conversation, store = self._conversation, self._ground.store
        while True:
            self._wake.clear()
            page = (
                await asyncio.to_thread(store.journal_page, conversation.position, PAGE_ROWS)
                if conversation.may_send
                else []
            )
            if page:
                await self._say(conversation.batch(page))
            else:
                await self._wake.wait()

    async def _beat(self) -> None:
        ground = self._ground
        while True:
            versions = [version for version in ground.pool.versions() if version]
            beat = Heartbeat(
                ground.store.journal_end,
                ground.now_us(),
                ground.pool.own_counts()[KeyState.READY],
                ground.pool.read_only,
                min(versions, default=ground.pool.record_version),
            )
            await self._say(beat)
            await asyncio.sleep(BEAT_S)

    # Whether both have the same.

    async def _compare(self, inquiring: Inquiring) -> None:
        """Compare when it is asked for; the calling side also once both have caught up, and every hour."""
        if self._calling:
            await self._caught_up()
            inquiring.ask()
        await inquiring.run(hourly=self._calling)

    async def _caught_up(self) -> None:
        """Wait until each side has what the other had when the stream began."""
        own, link = self._ground.store.journal_end, self._link
        await self._until(lambda: link.beat.time_us > 0)
        their = link.beat.sequence
        await self._until(lambda: self._has_all(own, their))

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._progress.clear()
            await self._progress.wait()

    def _has_all(self, own: int, their: int) -> bool:
        return self._conversation.acknowledged >= own and self._link.cursor.received >= their

    async def _take_verdict(self, differences: tuple[str, ...]) -> None:
        await self._judge(self._link, differences)
