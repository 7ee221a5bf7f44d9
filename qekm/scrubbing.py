"""Look for damage before it is met: every row, every key and the whole trail, again and again."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator

from qekm.audit import SERVICE, occurred, verify_trail
from qekm.configuration.settings import Settings
from qekm.errors import QekmError, StoreDamaged
from qekm.model import Key, Outcome
from qekm.owners import Owners
from qekm.store import Store

_log = logging.getLogger(__name__)

FIRST_S = 60.0  # after the start, which checked every row, but no key's material and no link of the trail
HOUR_S = 3_600.0
_CHUNK = 1_000
_REST = 9  # a tenth of one core at the most: drives come first
_MOST_NAMED = 5


class Scrubber:
    """One pass at a time, in a thread; what it finds ends the giving of new keys."""

    def __init__(
        self,
        store: Store,
        owners: Owners,
        settings: Settings,
        now_us: Callable[[], int],
        first_s: float = FIRST_S,
    ) -> None:
        """Take an open store and its owners; the first pass begins after so many seconds."""
        self._store, self._owners, self._now_us = store, owners, now_us
        self._settings = settings
        self._first_due, self._ended_s = time.monotonic() + first_s, 0.0
        self._pass: asyncio.Task[None] | None = None
        self._ended = threading.Event()
        self.findings: tuple[str, ...] = ()

    async def tick(self) -> None:
        """Begin a pass if it is time and none is under way."""
        if self._pass is None and time.monotonic() >= self._due():
            self._pass = asyncio.create_task(self.scrub())

    async def close(self) -> None:
        """End the pass that is under way, at its next rest, and wait for it: its thread reads the store."""
        self._ended.set()
        if self._pass is not None:
            await asyncio.wait([self._pass])

    async def scrub(self) -> None:
        """Make one whole pass and tell what it found. StoreFailed."""
        try:
            keys = list(self._owners.keystore)
            try:
                findings = await asyncio.to_thread(lambda: tuple(self._find(keys)))
            except _Ended:
                return
            if findings and findings != self.findings:
                await self._alarm(findings)
            self.findings = findings
        finally:
            self._ended_s, self._pass = time.monotonic(), None

    def _due(self) -> float:
        every_s: float = self._settings["store.scrubHours"] * HOUR_S  # may have changed since the last pass
        return self._ended_s + every_s if self._ended_s else self._first_due

    async def _alarm(self, findings: tuple[str, ...]) -> None:
        told = "; ".join(findings[:_MOST_NAMED])
        _log.error("the store on the disk is damaged: %s", told)
        self._owners.keystore.freeze(f"the store on the disk is damaged: {told}")
        record = occurred(self._now_us(), "store.damaged", SERVICE, Outcome.FAILURE, message=told)
        await self._store.commit([record])

    def _find(self, keys: list[Key]) -> Iterator[str]:
        """Yield what is damaged; in a thread, which rests nine tenths of the time."""
        pause = _Pause(self._ended)
        try:
            found = self._store.scrub(pause)
            yield from found.damaged
            if not (found.damaged or found.root_holds):
                yield "the store root does not hold"
            yield from self._find_keys(keys, pause)
            public_key = self._owners.estate.audit_key.public_key()
            verdict = verify_trail(self._store.iterate_audit(), public_key, progress=pause)
            if not verdict.intact:
                yield f"audit record {verdict.broken_at:,}: {verdict.reason}"
            self._store.check_file()
        except QekmError as error:  # a page that cannot even be read
            yield error.message

    def _find_keys(self, keys: list[Key], pause: _Pause) -> Iterator[str]:
        for number, key in enumerate(keys, 1):
            try:
                if key.sealed:
                    self._store.ring.open_key(key).wipe()
            except StoreDamaged:
                if self._owners.keystore.by_alias(key.alias).sealed == key.sealed:
                    yield f"key {key.alias}"
            if number % _CHUNK == 0:
                pause(number)


class _Ended(Exception):
    """The service stops: the pass is given up."""


class _Pause:
    """Rests nine times as long as was worked since it was last called; _Ended when the service stops."""

    def __init__(self, ended: threading.Event) -> None:
        self._ended, self._since = ended, time.monotonic()

    def __call__(self, _done: int) -> None:
        if self._ended.wait(_REST * (time.monotonic() - self._since)):
            raise _Ended
        self._since = time.monotonic()
