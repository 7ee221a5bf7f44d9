"""The gateways connected now: one Link per Serve stream, and the diagnose commands under way."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qekm.errors import GatewayAway, QekmError
from qekm.model import Change
from qekm.v1.diagnosis_pb2 import TestResult
from qekm.v1.serving_pb2 import DiagnoseCommand, DiagnoseReport, GatewayHello, ServeResponse

Unit = Sequence[Change]
Commit = asyncio.Future[list[QekmError | None]]


@dataclass(slots=True)
class Answer:
    """What goes out to a gateway once `commit` is done.

    owners: for each of its first units, the index of the reply that it belongs to; no reply waits for the
    others (the end of a session, a report of refusals). held: whether it has a place in the link's window.
    """

    response: ServeResponse
    commit: Commit | None = None
    owners: Sequence[int] = ()
    held: bool = False


class Link:
    """One connected gateway and its Serve stream; `id` tells it from the same gateway's next stream."""

    _numbers = itertools.count(1)

    def __init__(self, name: str, hello: GatewayHello, connect_time_us: int, window: int) -> None:
        self.id = f"{name}#{next(self._numbers)}"
        self.name = name
        self.hello = hello
        self.connect_time_us = connect_time_us
        self.window = asyncio.Semaphore(window)
        self.outbox: asyncio.Queue[Answer | None] = asyncio.Queue()
        self.reader: asyncio.Task[None] | None = None
        self.reason: BaseException | None = None

    def end(self, reason: BaseException | None = None) -> None:
        """Take nothing more from this stream; what was decided is still answered, then `reason` is told."""
        if self.reader is not None:
            self.reader.cancel()
        self.reason = self.reason or reason
        self.outbox.put_nowait(None)


class Gateways:
    """The set of links, and whom a diagnose report is for."""

    def __init__(self) -> None:
        self._links: dict[Link, None] = {}  # in order of connection
        self._numbers = itertools.count(1)
        self._waiting: dict[tuple[Link, int], asyncio.Future[Sequence[TestResult]]] = {}

    def __iter__(self) -> Iterator[Link]:
        return iter(tuple(self._links))

    def __len__(self) -> int:
        return len(self._links)

    def join(self, link: Link) -> None:
        """Count a gateway as connected."""
        self._links[link] = None

    def part(self, link: Link) -> None:
        """Count a gateway as gone; who waits for its report gets GatewayAway."""
        self._links.pop(link, None)
        for (asked, _), waiting in self._waiting.items():
            if asked is link and not waiting.done():
                waiting.set_exception(GatewayAway(f"gateway {link.name} left during the diagnosis"))

    async def diagnose(
        self, link: Link, certificates: Sequence[bytes], anchor: bytes
    ) -> Sequence[TestResult]:
        """Have one gateway play its test drive and return its results; the caller limits the time."""
        number = next(self._numbers)
        command = DiagnoseCommand(command_id=number, drive_certificates=certificates, anchor=anchor)
        self._waiting[link, number] = asyncio.get_running_loop().create_future()
        try:
            link.outbox.put_nowait(Answer(ServeResponse(diagnose=command)))
            return await self._waiting[link, number]
        finally:
            del self._waiting[link, number]

    def report(self, link: Link, report: DiagnoseReport) -> None:
        """Hand a gateway's report to whom waits for it; one that nobody waits for is dropped."""
        waiting = self._waiting.get((link, report.command_id))
        if waiting is not None and not waiting.done():
            waiting.set_result(report.results)
