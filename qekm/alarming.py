"""The alarms of a running service: hears what is committed, looks at what stands, has somebody told.

Nothing here is waited for: records come over a queue from the store's writer, messages go out over couriers'
threads. Up to which record everybody was told is kept in the store, so that a start after a crash tells of
what happened at a moment before it; what lasts tells of itself again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from qekm.alarms import past
from qekm.alarms.alarm import Alarm, Severity
from qekm.alarms.conditions import (
    Condition,
    Gateways,
    Key,
    changes,
    named,
    of_backups,
    of_certificates,
    of_disk,
    of_keystore,
    of_logs,
)
from qekm.alarms.digest import Digest
from qekm.alarms.outlets import Receiver, courier_of, missing, receivers_of
from qekm.alarms.rules import LOG_FAIL, READ_ONLY, RULES, judge
from qekm.alarms.standing import Standing
from qekm.alarms.undelivered import Undelivered
from qekm.audit import SERVICE, occurred
from qekm.clock import steady_s
from qekm.configuration.settings import Settings
from qekm.expiring import expiring
from qekm.home import Home
from qekm.model import AuditRecord, Change, Outcome, Setting
from qekm.owners import Owners
from qekm.pki import RandomBytes
from qekm.properties.alarms import DISK, LEVEL, REPEAT
from qekm.store import Store
from qekm.unlocking import credentials_of, located

_log = logging.getLogger(__name__)

PLACE = "alarms.place"  # a setting of the store: up to which record of the trail everybody was told
GATHER_US = 5_000_000  # what comes within that is one message
EVERY_US = 60_000_000  # between two messages
LOOK_US = 60_000_000  # between two looks at what stands
REMEMBER_US = 3_600_000_000  # between two notes of the place, where there was nothing to tell
PATIENCE_S = 2.0  # at the end
LAST_S = 15.0  # at the end of a service that has failed: nothing is more urgent (systemd waits for 60)
_PAGE = 1_000
_LOGGED = frozenset({LOG_FAIL, READ_ONLY})  # by those who noticed it
Source = Callable[[], Iterable[Condition]]


class Trail(past.Trail, Protocol):
    """The store, as far as it is needed here (qekm.store.Store)."""

    async def commit(self, changes: Sequence[Change]) -> None:
        """Return when the unit is durable; StoreFailed."""


class Alarming:
    """Made and run in one event loop; `committed` is called in the writer's thread."""

    def __init__(
        self,
        server: str,
        settings: Any,
        remembered: Mapping[str, str],
        store: Trail,
        receivers: Sequence[Receiver],
        now_us: Callable[[], int],
        random_bytes: RandomBytes,
    ) -> None:
        """server: this one's name. settings: typed values. remembered: the store's own settings."""
        self._server, self._settings, self._store = server, settings, store
        self._now_us, self._random_bytes = now_us, random_bytes
        self._remembered = int(remembered.get(PLACE) or 0)
        self._heard: deque[tuple[int, AuditRecord]] = deque(maxlen=_PAGE * 10)
        self._place = self._noted_us = 0
        self._owing = False  # what was handed to couriers is not noted yet
        self.receivers = receivers
        self._couriers = [courier_of(each) for each in receivers]
        self._testing: asyncio.Task[list[tuple[str, str, str]]] | None = None
        self.standing = Standing(
            lambda: Severity[settings[LEVEL].upper()], lambda: settings[REPEAT] * 3_600_000_000
        )
        self.sources: list[Source] = []
        self._conditions: dict[Key, Condition] = {}
        self._looked_us, self._told_us = now_us(), 0  # the first look is when a start has settled
        self._waiting: list[Alarm] = []
        self._since_us = 0  # when the first of them came

    @classmethod
    def of(
        cls,
        home: Home,
        settings: Settings,
        owners: Owners,
        store: Store,
        gateways: Sized,
        logs: Callable[[], Iterable[str]],
        now_us: Callable[[], int],
        random_bytes: RandomBytes,
    ) -> Alarming:
        """Put them together for a service. logs: what a status says of logs that cannot be written."""
        credentials = credentials_of(os.environ)
        receivers = receivers_of(
            settings, home.path, lambda named: (located(named, home, credentials), credentials), now_us
        )
        name = f"{owners.certificates.server_name} on {socket.gethostname()}"
        made = cls(name, settings, owners.settings, store, list(receivers), now_us, random_bytes)
        backups, keystore, start_us = owners.backups, owners.keystore, now_us()
        made.sources += [
            lambda: of_certificates(expiring(owners.endings(), now_us())),
            lambda: of_disk(home.store_directory, settings[DISK]),
            lambda: of_keystore(keystore.read_only),
            lambda: of_logs(logs()),
            Gateways(lambda: len(gateways), steady_s),
        ]
        if settings["backup.target"]:
            made.sources.append(lambda: of_backups(backups, keystore.created_seq, start_us, now_us()))
        return made

    def committed(self, first: int, records: Sequence[AuditRecord]) -> None:
        """Take records that are in the trail from place `first` on; never waits."""
        if not records:
            return
        for sequence, record in enumerate(records, first):
            if judge(record) is not None:
                self._heard.append((sequence, record))
        self._place = first + len(records) - 1

    async def start(self) -> None:
        """Begin to send, hear what nobody was told of before this start, and how that ended. StoreFailed."""
        for courier in self._couriers:
            courier.start()
        if self._couriers and self._remembered:
            for link in await asyncio.to_thread(past.missed, self._store, self._remembered):
                self.standing.take(link.record, link.sequence)
        if await asyncio.to_thread(past.is_cut, self._store):
            what = "the last run ended without a stop: it was killed, or failed, or the machine did"
            told = self._now_us(), "server.cut", SERVICE, Outcome.FAILURE
            await self._store.commit([occurred(*told, message=what)])

    async def tick(self) -> None:
        """Look, hear and tell; StoreFailed."""
        now_us = self._now_us()
        if abs(now_us - self._looked_us) >= LOOK_US:
            self._looked_us = now_us
            await self.look()
        await self._tell(now_us)

    async def look(self) -> None:
        """Record what stands since the last look, and what is well again; StoreFailed."""
        now = named(condition for source in self.sources for condition in source())
        records = list(changes(self._conditions, now, self._now_us()))
        self._conditions = now
        for record in records:
            if record.event not in _LOGGED:
                _log.warning("%s: %s", record.event, record.message)
        if records:
            await self._store.commit(records)

    async def close(self) -> None:
        """Tell what there is to tell, for at most a moment; to be called when the last record is written."""
        await self._tell(self._now_us(), at_once=True)
        await self._end()
        await self._remember()

    async def abort(self, reason: str) -> None:
        """Tell that the service has failed, if there is a reason; nothing can be written any more."""
        if reason:
            now_us = self._now_us()
            told = "server.stop", "", Severity.CRITICAL, "the service failed and has stopped", reason
            self._waiting.append(Alarm(*told, "qekm server start", now_us, now_us))
            self._send(now_us)
        await self._end(LAST_S if reason else PATIENCE_S)

    def lines(self) -> list[str]:
        """Return what a status says of alarms that do not get through."""
        said = [each.trouble for each in self._couriers] + [each.remark for each in self.receivers]
        return [*missing(self._settings), *(line for line in said if line)]

    async def test(self) -> list[tuple[str, str, str]]:
        """Send one of each severity at once; returns name, stage and reason of each, empty if it arrived.

        One at a time, whoever hangs up: who asks meanwhile gets the answer of the one that is under way.
        """
        if self._testing is None or self._testing.done():
            self._testing = asyncio.create_task(self._test())
        return await asyncio.shield(self._testing)

    async def _test(self) -> list[tuple[str, str, str]]:
        digest = replace(self._digest(list(_samples(self._now_us()))), test=True)
        return list(await asyncio.gather(*(_apart(each, digest) for each in self.receivers)))

    async def _tell(self, now_us: int, at_once: bool = False) -> None:
        """Hand what is to be told to the couriers, as one message; note it once they are done."""
        while self._heard:
            sequence, record = self._heard.popleft()
            self.standing.take(record, sequence)
        due = self.standing.due(now_us)
        if due and not self._waiting:
            self._since_us = now_us
        self._waiting += due
        rested = abs(now_us - self._since_us) >= GATHER_US and abs(now_us - self._told_us) >= EVERY_US
        if self._waiting and (rested or at_once):
            self._send(now_us)
        elif self._owing or abs(now_us - self._noted_us) >= REMEMBER_US:
            await self._remember()

    def _send(self, now_us: int) -> None:
        digest, self._waiting, self._told_us = self._digest(self._waiting), [], now_us
        self.standing.dropped, self._owing = 0, True
        for courier in self._couriers:
            courier.give(digest)

    async def _end(self, patience_s: float = PATIENCE_S) -> None:
        await asyncio.gather(*(asyncio.to_thread(each.close, patience_s) for each in self._couriers))

    async def _remember(self) -> None:
        """Note up to where everybody was told, if so. StoreFailed."""
        place = self._place
        done = not (self._waiting or self._heard) and all(each.is_idle for each in self._couriers)
        if self._couriers and done and place > self._remembered:
            self._owing, self._remembered, self._noted_us = False, place, self._now_us()
            await self._store.commit([Setting(PLACE, str(place))])

    def _digest(self, alarms: Sequence[Alarm]) -> Digest:
        mark = self._random_bytes(16).hex()
        return Digest(self._server, mark, self._now_us(), tuple(alarms), self.standing.dropped)


def _samples(now_us: int) -> Iterator[Alarm]:
    for severity in reversed(Severity):
        rule = next(each for each in RULES if each.severity is severity)
        yield Alarm(rule.event, "TEST", severity, rule.title, "a test", "nothing", now_us, now_us)


async def _apart(receiver: Receiver, digest: Digest) -> tuple[str, str, str]:
    """Try in a thread of its own: the event loop's are waited for at a stop, however long they take."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[str, str, str]] = loop.create_future()

    def settle(result: tuple[str, str, str]) -> None:
        if not future.done():  # nobody may wait any more
            future.set_result(result)

    def run() -> None:
        result = _tried(receiver, digest)
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, result)

    threading.Thread(target=run, name=f"test of {receiver.name}", daemon=True).start()
    return await future


def _tried(receiver: Receiver, digest: Digest) -> tuple[str, str, str]:
    try:
        receiver.take([digest])
    except Undelivered as error:
        return receiver.name, error.stage, error.reason
    except Exception as error:
        _log.exception("a test of the alarms failed")
        return receiver.name, "internal", type(error).__name__
    return receiver.name, "send" if receiver.remark else "", receiver.remark
