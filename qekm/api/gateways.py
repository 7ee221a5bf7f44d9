"""The gateways connected now: one Link per Serve stream, and the commands under way."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qekm.errors import GatewayAway, QekmError
from qekm.model import Change
from qekm.v1.diagnosis_pb2 import TestResult
from qekm.v1.serving_pb2 import (
    ConfigureCommand,
    ConfigureReport,
    DebugLine,
    DiagnoseCommand,
    DiagnoseReport,
    GatewayHello,
    ServeResponse,
)

_log = logging.getLogger(__name__)

Unit = Sequence[Change]
Commit = asyncio.Future[list[QekmError | None]]


@dataclass(slots=True)
class Answer:
    """What goes out to a gateway once `commit` is done.

    owners: for each of its first units, the index of the reply that it belongs to; no reply waits for the
    others (the end of a session, a report of refusals). held: whether it has a place in the link's window.
    new: which of those units give a key to write with, where a peer is to know of it first. begun_s: when its
    batch came, by the steady clock.
    """

    response: ServeResponse
    commit: Commit | None = None
    owners: Sequence[int] = ()
    held: bool = False
    new: Sequence[int] = ()
    begun_s: float = 0.0


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
        self.trouble = ""  # why it does not have the properties in force

    def end(self, reason: BaseException | None = None) -> None:
        """Take nothing more from this stream; what was decided is still answered, then `reason` is told."""
        if self.reader is not None:
            self.reader.cancel()
        self.reason = self.reason or reason
        self.outbox.put_nowait(None)


class Gateways:
    """The set of links, and whom a report is for; who cares of links and debug lines puts itself in."""

    def __init__(self) -> None:
        self._links: dict[Link, None] = {}  # in order of connection
        self._numbers = itertools.count(1)
        self._waiting: dict[tuple[Link, int], asyncio.Future[Any]] = {}
        self.greet: Callable[[Link], None] = lambda _link: None
        self.debug: Callable[[Link, Sequence[DebugLine]], None] | None = None  # the debug log

    def __iter__(self) -> Iterator[Link]:
        return iter(tuple(self._links))

    def __len__(self) -> int:
        return len(self._links)

    def join(self, link: Link) -> None:
        """Count a gateway as connected."""
        self._links[link] = None
        self.greet(link)

    def part(self, link: Link) -> None:
        """Count a gateway as gone; who waits for its report gets GatewayAway."""
        self._links.pop(link, None)
        for (asked, _), waiting in tuple(self._waiting.items()):
            if asked is link and not waiting.done():
                waiting.set_exception(GatewayAway(f"gateway {link.name} left meanwhile"))

    async def diagnose(
        self, link: Link, certificates: Sequence[bytes], anchor: bytes
    ) -> Sequence[TestResult]:
        """Have one gateway play its test drive and return its results; the caller limits the time."""
        number = next(self._numbers)
        command = DiagnoseCommand(command_id=number, drive_certificates=certificates, anchor=anchor)
        results: Sequence[TestResult] = await self._command(link, number, ServeResponse(diagnose=command))
        return results

    def configure(self, link: Link, properties: Mapping[str, str]) -> asyncio.Future[ConfigureReport]:
        """Send one gateway properties to put in force, at once, and return what will be its report.

        The caller limits the time and cancels it then; GatewayAway is in it when the gateway leaves.
        """
        number = next(self._numbers)
        command = ConfigureCommand(command_id=number, properties=properties)
        return self._command(link, number, ServeResponse(configure=command))

    def report(self, link: Link, report: DiagnoseReport) -> None:
        """Hand a gateway's report to whom waits for it; one that nobody waits for is dropped."""
        self._hand(link, report.command_id, report.results)

    def configured(self, link: Link, report: ConfigureReport) -> None:
        """Note where a gateway takes drives now, or why it does not; and hand its report on."""
        link.hello.addresses[:] = report.addresses
        link.trouble = report.error
        self._hand(link, report.command_id, report)

    def noted(self, link: Link, lines: Sequence[DebugLine]) -> None:
        """Hand a gateway's debug lines on."""
        if self.debug is not None:
            try:
                self.debug(link, lines)
            except Exception:
                _log.exception("the debug lines of gateway %s are lost", link.name)

    def _command(self, link: Link, number: int, response: ServeResponse) -> asyncio.Future[Any]:
        waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if link in self._links:
            self._waiting[link, number] = waiting
            waiting.add_done_callback(lambda _done: self._waiting.pop((link, number)))
            link.outbox.put_nowait(Answer(response))
        else:
            waiting.set_exception(GatewayAway(f"gateway {link.name} has left"))
        return waiting

    def _hand(self, link: Link, number: int, result: object) -> None:
        waiting = self._waiting.get((link, number))
        if waiting is not None and not waiting.done():
            waiting.set_result(result)
